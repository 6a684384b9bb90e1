"""Coarse keys: indexes hold `seq >> 10` and the bucket of an id, not the row's own number.

Strategy: rows that share an index key share one entry of it, which is then little more than a list
of places (PostgreSQL, "B-Tree Indexes", deduplication): 7 to 12 bytes a row instead of 32. A list
asks for the order of the coarse key and then of the number, which is the order of the number; the
server reads a key's rows, sorts them (incremental sort), and stops when the page is full. So a page
costs a bucket more than it needs: at most 1024 rows, or 16 s of a project's.

The index of all rows has `seq >> 5` behind that, a byte a row: cells of the index of words are some
dozens of rows, which would be a twentieth of what is read for them. The rows of 46 cells take the
server 15 ms so, instead of 69.

Bounds are comparisons of rows, `(seq >> 10, seq) >= (…)`: the server takes the first column to the
index, and estimates by it alone, where two conditions on the same number would count twice.

Invariant: buckets rise with the numbers they are of.
"""

from collections.abc import Iterable
from typing import Final

from storage.query import Order
from storage.relational.slices import Range

_SEQ_BITS: Final = 10
"""As in the indexes of migration 1."""
_FINE_BITS: Final = 5
"""Of the second key of the index of all rows."""
_MS_BITS: Final = 14
"""16.4 s."""
_MAX_BUCKET: Final = (1 << 31) - 1
"""Of the year 3084; ids of later ones share it."""
SEQ_AMONG: Final = (
    f"(seq >> {_SEQ_BITS}) = ANY(ARRAY(SELECT DISTINCT number >> {_SEQ_BITS} "
    "FROM unnest($1::bigint[]) AS number)) AND seq = ANY($1::bigint[])"
)
"""Condition that `seq` is one of the first parameter, an array."""
_DIRECTIONS: Final[dict[Order, str]] = {"asc": "ASC", "desc": "DESC"}


def id_bucket(ms: int) -> int:
    """Find the bucket of the ids of a millisecond (`storage.relational.by_id.id_ms`)."""
    return min(ms >> _MS_BITS, _MAX_BUCKET)


def seq_between(first: str, last: str) -> str:
    """Write the condition that `seq` lies between two marks, both inclusive."""
    return f"{_pair(first, '>=')} AND {_pair(last, '<=')}"


def id_between(ids: int, buckets: int) -> str:
    """Write the condition that an id lies between two; the numbers are those of the first marks of
    ids and buckets.
    """
    return (
        f"(id_bucket, id) >= (${buckets}, ${ids}) AND (id_bucket, id) <= (${buckets + 1}, "
        f"${ids + 1})"
    )


def seq_in_parts(keys: str, firsts: str, lasts: str) -> str:
    """Write the condition that `seq` is in one of some ranges, given as arrays at marks; `keys` are
    their `keys_of`.

    The keys are a query, so that each is looked up by both of its columns. Which range a row could
    be in is looked up in the sorted firsts: a list of all numbers would have to be planned for.
    """
    pairs = (
        f"SELECT number >> {_SEQ_BITS - _FINE_BITS}, number FROM unnest({keys}::bigint[]) AS number"
    )
    last = f"({lasts}::bigint[])[width_bucket(seq, {firsts}::bigint[])]"
    return f"(seq >> {_SEQ_BITS}, seq >> {_FINE_BITS}) IN ({pairs}) AND seq <= {last}"


def keys_of(ranges: Iterable[Range]) -> list[int]:
    """List the fine keys that rows of some ranges have."""
    return sorted(
        {
            key
            for rows in ranges
            for key in range(rows.first >> _FINE_BITS, (rows.last >> _FINE_BITS) + 1)
        }
    )


def by_seq(order: Order) -> str:
    """Write the order by `seq`."""
    return f"ORDER BY seq >> {_SEQ_BITS} {_DIRECTIONS[order]}, seq {_DIRECTIONS[order]}"


def by_id(order: Order) -> str:
    """Write the order by id, of rows that the index on the id itself serves."""
    return f"ORDER BY id {_DIRECTIONS[order]}"


def by_id_bucket(order: Order) -> str:
    """Write the order by id, of rows that an index on the bucket serves: those of a project, or of
    a route.
    """
    return f"ORDER BY id_bucket {_DIRECTIONS[order]}, id {_DIRECTIONS[order]}"


def _pair(mark: str, sign: str) -> str:
    return f"(seq >> {_SEQ_BITS}, seq) {sign} ({mark}::bigint >> {_SEQ_BITS}, {mark}::bigint)"
