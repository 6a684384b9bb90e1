"""Histograms of latencies in SQLite: packed, and added up by functions of ours that SQL calls.

Layout: pieces, of which each has the number of buckets - 1 and the width of a count, a byte each, the buckets, a byte
each, and the counts, little endian and signed; without counts nothing at all. Few of the 256 buckets occur in a row.

Strategy: what follows adds up, so that to merge short ones is to append, which SQL does without us; those of
`APPENDED_BYTES` and more become one piece.
"""

import sqlite3
from collections.abc import Mapping
from struct import pack, unpack_from
from typing import Final

from storage.aggregates import BOUNDS_US

MERGE: Final = "merge_histograms"
APPENDED_BYTES: Final = 96
"""A piece of 47 buckets: longer ones are of rows to which a batch adds many records at once."""
SUM: Final = "sum_histograms"
_WIDTHS: Final = {1: "b", 2: "h", 4: "i", 8: "q"}
"""Bytes of a count → its letter in `struct`."""


def pack_histogram(counts: Mapping[int, int], sign: int = 1) -> bytes:
    """Pack counts by bucket, times 1 or -1."""
    kept = {bucket: sign * count for bucket, count in counts.items() if count}
    if not kept:
        return b""
    largest = max(map(abs, kept.values()))
    if largest < 1 << 7:  # as in most rows of a batch: 1 us instead of 2
        return bytes((len(kept) - 1, 1, *kept, *[count & 0xFF for count in kept.values()]))
    width = 1 if largest < 1 << 7 else 2 if largest < 1 << 15 else 4 if largest < 1 << 31 else 8
    return pack(f"<BB{len(kept)}B{len(kept)}{_WIDTHS[width]}", len(kept) - 1, width, *kept, *kept.values())


def unpack_histogram(packed: bytes) -> dict[int, int]:
    counts: dict[int, int] = {}
    _add(counts, packed)
    return counts


def bucket_of(column: str) -> str:
    """Write the bucket of a column of µs: the search for its bound, halving the bounds each time."""
    return f"({_search(column, 0, len(BOUNDS_US))})"


def add_histogram_functions(connection: sqlite3.Connection) -> None:
    connection.create_function(MERGE, 2, _merge, deterministic=True)
    connection.create_aggregate(SUM, 1, _Sum)  # type: ignore[arg-type]  # typeshed knows only those of numbers


def _search(column: str, first: int, last: int) -> str:
    if first == last:
        return str(first)
    middle = (first + last) // 2
    lower, upper = _search(column, first, middle), _search(column, middle + 1, last)
    return f"CASE WHEN {column} <= {BOUNDS_US[middle]} THEN {lower} ELSE {upper} END"


def _add(counts: dict[int, int], packed: bytes) -> None:
    start = 0
    while start < len(packed):
        first = start + 2
        end = first + packed[start] + 1
        width = packed[start + 1]
        start = end + (end - first) * width
        some = unpack_from(f"<{end - first}{_WIDTHS[width]}", packed, end)
        for bucket, count in zip(packed[first:end], some, strict=True):
            counts[bucket] = counts.get(bucket, 0) + count


def _merge(known: bytes, added: bytes) -> bytes:
    return pack_histogram(unpack_histogram(known + added))


class _Sum:
    """An aggregate function: its names are SQLite's."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def step(self, packed: bytes) -> None:
        _add(self._counts, packed)

    def finalize(self) -> bytes:
        return pack_histogram(self._counts)
