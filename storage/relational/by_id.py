"""Slices of a walk in the order of receipt, sized for a time budget.

Strategy: ids are UUIDv7, with milliseconds in their upper 48 bits (RFC 9562 §5.7), so a walk goes
by ranges of milliseconds. The first range is a second long, and a quick one makes the next eight
times wider: ten slices cross a year without rows.

Invariant: ids are compared as 128-bit numbers, in the same order as their bytes.
"""

from collections.abc import Iterator
from typing import Final

from storage.query import Order
from storage.relational.slices import Pace, Range, slices

FIRST_SLICE_MS: Final = 1000
MAX_MS: Final = (1 << 48) - 1
_MS_SHIFT: Final = 80
ID_BYTES: Final = 16


def id_number(record_id: bytes) -> int:
    """Return a record's id as an integer, which also serves as the page cursor after the record."""
    return int.from_bytes(record_id, "big")


def id_ms(record_id: bytes) -> int:
    """Return the time in a record's id, in milliseconds."""
    return int.from_bytes(record_id[:6], "big")


def id_slices(whole_ms: Range, order: Order, after: int | None, first_ms: int) -> Iterator[Range]:
    """Cut a range of milliseconds, both ends inclusive, into ranges of ids, in order; `after`
    leaves out the ids up to a cursor.
    """
    whole = Range(0, (MAX_MS + 1 << _MS_SHIFT) - 1).following(after, order)
    least_ms = max(whole_ms.first, whole.first >> _MS_SHIFT)
    most_ms = min(whole_ms.last, whole.last >> _MS_SHIFT)
    for part in slices(Range(least_ms, most_ms), order, Pace(first_ms)):
        yield Range(
            max(part.first << _MS_SHIFT, whole.first),
            min((part.last + 1 << _MS_SHIFT) - 1, whole.last),
        )
