"""How many heads and bodies are in memory at a time: those of as many rows as have some megabytes of them. Pure.

Strategy: rows say how large their bodies were on the wire, and no more than that is kept, unless it was compressed. By
default that is 80 KiB of each; who wants all of it may have megabytes (`[capture] stored_body_bytes`).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from storage.record import Record

MAX_BYTES: Final = 16 << 20
"""Of a portion: some calls of a model with long histories, thousands of small exchanges."""

Row = TypeVar("Row")


def body_bytes(record: Record) -> int:
    return record.request_bytes + record.response_bytes


def portions(rows: Sequence[Row], max_rows: int, size_of: Callable[[Row], int]) -> Iterator[Sequence[Row]]:
    """Cut rows, in their order, into portions of at most `MAX_BYTES`, or of one row."""
    start = size = 0
    for place, row in enumerate(rows):
        added = size_of(row)
        if place > start and (place - start == max_rows or size + added > MAX_BYTES):
            yield rows[start:place]
            start, size = place, 0
        size += added
    if rows:
        yield rows[start:]
