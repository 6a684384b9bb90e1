"""The bucket of a latency as an expression of the server's. Pure."""

from typing import Final

from storage.aggregates import BOUNDS_US, FIRST_STEP

_LAST_START: Final = len(BOUNDS_US) - 3
"""The last bound from which three are compared."""


def bucket_of(column: str) -> str:
    """Write the bucket of a column of µs: about where its logarithm says, then by comparing the bounds there.

    Whatever the server's logarithm is off by, the bucket is exact: of the three bounds from one below that place on the
    first is at least as small as the value needs, the last at least as large.
    """
    value = f"ifNull({column}, 0)"
    start = f"floor(8 * log2(greatest({value}, 1) / 1000000.)) - {FIRST_STEP} - 1"
    first = f"toInt32(least(greatest({start}, 0), {_LAST_START}))"
    bounds = f"[{', '.join(map(str, BOUNDS_US))}]"
    compared = " + ".join(f"({bounds}[{first} + {place}] < {value})" for place in (1, 2, 3))
    return f"toInt16({first} + {compared})"
