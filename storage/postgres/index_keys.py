"""Coarse keys: indexes hold `seq >> 10` and the bucket of an id instead of the row's own number.

Strategy: rows with the same key share one index entry, little more than a list of row locations
(PostgreSQL, "B-Tree Indexes", deduplication): 7 to 12 bytes a row instead of 32. A list is ordered
by the coarse key and then by the number, and this is the order of the number itself. The server
reads the rows of a key, sorts them (incremental sort), and stops when the page is full. So a page
reads at most one bucket more than it needs: 1024 rows, or 16 s of a project's.

The index of all rows has `seq >> 5` as a second key, one byte a row. Cells of the index of words
have a few dozen rows, a twentieth of a bucket. So the server reads the rows of 46 cells in 15
instead of 69 ms.

Bounds are row comparisons, `(seq >> 10, seq) >= (…)`: the server applies the first column to the
index, and estimates by it alone, while it would count two conditions on one number twice.

Invariant: buckets rise with their numbers.
"""

from collections.abc import Iterable
from typing import Final

from storage.query import Order
from storage.relational.slices import Range

_SEQ_BITS: Final = 10
"""As in the indexes of migration 1."""
_FINE_BITS: Final = 5
"""Bits dropped for the second key of the index of all rows."""
_MS_BITS: Final = 14
"""A bucket of ids has 16.4 s."""
_MAX_BUCKET: Final = (1 << 31) - 1
"""Bucket of the year 3084; later ids share it."""
SEQ_AMONG: Final = (
    f"(seq >> {_SEQ_BITS}) = ANY(ARRAY(SELECT DISTINCT number >> {_SEQ_BITS} "
    "FROM unnest($1::bigint[]) AS number)) AND seq = ANY($1::bigint[])"
)
"""Condition that `seq` is in the first parameter, an array."""
_DIRECTIONS: Final[dict[Order, str]] = {"asc": "ASC", "desc": "DESC"}


def id_bucket(ms: int) -> int:
    """Return the bucket of ids made in a millisecond (`storage.relational.by_id.id_ms`)."""
    return min(ms >> _MS_BITS, _MAX_BUCKET)


def seq_between(first: str, last: str) -> str:
    """Return the condition that `seq` is between two placeholders, both inclusive."""
    return f"{_pair(first, '>=')} AND {_pair(last, '<=')}"


def id_between(ids: int, buckets: int) -> str:
    """Return the condition that an id is between two. The arguments are the numbers of the first
    placeholder for ids and for buckets.
    """
    return (
        f"(id_bucket, id) >= (${buckets}, ${ids}) AND (id_bucket, id) <= (${buckets + 1}, "
        f"${ids + 1})"
    )


def seq_in_parts(keys: str, firsts: str, lasts: str) -> str:
    """Return the condition that `seq` is in one of several ranges, given as placeholders of arrays;
    `keys` are their `keys_of`.

    The keys are a subquery, so that each is looked up by both columns. The range of a row is found
    in the sorted firsts, because a list of all numbers would take long to plan.
    """
    pairs = (
        f"SELECT number >> {_SEQ_BITS - _FINE_BITS}, number FROM unnest({keys}::bigint[]) AS number"
    )
    last = f"({lasts}::bigint[])[width_bucket(seq, {firsts}::bigint[])]"
    return f"(seq >> {_SEQ_BITS}, seq >> {_FINE_BITS}) IN ({pairs}) AND seq <= {last}"


def keys_of(ranges: Iterable[Range]) -> list[int]:
    """Return the fine keys of all rows in the ranges."""
    return sorted(
        {
            key
            for rows in ranges
            for key in range(rows.first >> _FINE_BITS, (rows.last >> _FINE_BITS) + 1)
        }
    )


def by_seq(order: Order) -> str:
    """Return the clause that orders by `seq`."""
    return f"ORDER BY seq >> {_SEQ_BITS} {_DIRECTIONS[order]}, seq {_DIRECTIONS[order]}"


def by_id(order: Order) -> str:
    """Return the clause that orders by id, for the index on the id itself."""
    return f"ORDER BY id {_DIRECTIONS[order]}"


def by_id_bucket(order: Order) -> str:
    """Return the clause that orders by id, for indexes on the bucket: rows of a project or of a
    route.
    """
    return f"ORDER BY id_bucket {_DIRECTIONS[order]}, id {_DIRECTIONS[order]}"


def _pair(mark: str, sign: str) -> str:
    return f"(seq >> {_SEQ_BITS}, seq) {sign} ({mark}::bigint >> {_SEQ_BITS}, {mark}::bigint)"
