"""Histograms of latencies in Postgres, as numbers that SQL can sum.

A histogram is one `numeric`, a number with as many digits as needed. The count of bucket n is in
the `LANE` decimal digits from n * `LANE` on, counted from the right. So the server sums histograms
itself, and zeros at both ends take no space. No count, and no sum of counts, reaches 10 ** `LANE`;
all counts of a histogram have the same sign.
"""

from collections.abc import Mapping
from typing import Final

from storage.aggregates import BOUNDS_US

LANE: Final = 10
"""Allows ten billion exchanges in a bucket. Each bucket from the first to the last non-empty one
takes five bytes.
"""
_ZEROS: Final = "0" * LANE
_BOUNDS: Final = f"'{{{','.join(map(str, BOUNDS_US))}}}'::bigint[]"


def pack_histogram(counts: Mapping[int, int], sign: int = 1) -> str:
    """Return counts by bucket, multiplied by `sign` (1 or -1), as the text of a number."""
    buckets = [bucket for bucket, count in counts.items() if count]
    if not buckets:
        return "0"

    least = min(buckets)
    digits = "".join(
        f"{counts.get(bucket, 0):0{LANE}}" for bucket in range(max(buckets), least - 1, -1)
    )
    return f"{'-' if sign < 0 else ''}{digits}e{least * LANE}"


def unpack_histogram(number: str | None) -> dict[int, int]:
    """Return the counts by bucket of a non-negative number; empty for null."""
    if number is None:
        return {}
    empty = (len(number) - len(number.rstrip("0"))) // LANE
    digits = number[: len(number) - empty * LANE]
    digits = digits.zfill(-(-len(digits) // LANE) * LANE)
    lanes = [digits[start : start + LANE] for start in range(0, len(digits), LANE)]
    return {
        bucket: int(lane) for bucket, lane in enumerate(reversed(lanes), empty) if lane != _ZEROS
    }


def bucket_of(column: str) -> str:
    """Return the expression for the bucket of a column in µs. `width_bucket` counts the bounds up
    to a number.
    """
    return f"width_bucket({column} - 1, {_BOUNDS})"
