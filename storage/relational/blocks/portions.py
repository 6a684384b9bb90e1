"""Portions of rows whose heads and bodies fit into some megabytes of memory. Pure.

Strategy: rows have the size of their bodies on the wire, and no more is kept of an uncompressed
body: by default at most 80 KiB, by settings megabytes (`[capture] stored_body_bytes`).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from storage.record import Body, Entry, Record

MAX_BYTES: Final = 16 << 20
"""Of a portion: some calls of a model with long histories, thousands of small exchanges."""

Row = TypeVar("Row")


def body_bytes(record: Record) -> int:
    return record.request_bytes + record.response_bytes


def portions(
    rows: Sequence[Row], max_rows: int, size_of: Callable[[Row], int], max_bytes: int = MAX_BYTES
) -> Iterator[Sequence[Row]]:
    """Cut rows, in their order, into portions of at most so many bytes, or of one row."""
    start = 0
    size = 0
    for place, row in enumerate(rows):
        added = size_of(row)
        if place > start and (place - start == max_rows or size + added > max_bytes):
            yield rows[start:place]
            start = place
            size = 0
        size += added

    if rows:
        yield rows[start:]


def data_bytes(entry: Entry) -> int:
    """Return the size of what a client or a server can make long: little more than what is stored
    of it.

    What was captured says little of it: a compressed body is kept as it reads, and may be a hundred
    times as long.
    """
    record = entry.record
    payload = entry.payload
    size = (
        len(record.path or "")
        + len(record.query or "")
        + len(record.user_agent or "")
        + len(record.data or b"")
    )
    if payload is not None:
        size += len(payload.request_head) + len(payload.response_head)
        size += _body_bytes(payload.request_body) + _body_bytes(payload.response_body)
    for call in entry.tool_calls:
        size += (
            len(call.arguments or b"")
            + len(call.result or b"")
            + len(call.error_details or b"")
            + len(call.search)
        )

    return size


def _body_bytes(body: Body | None) -> int:
    if body is None:
        return 0
    return len(body.head) + len(body.tail)
