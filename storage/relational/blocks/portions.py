"""Portions of rows with heads and bodies that fit into a few megabytes of memory.

Strategy: a row is sized by its bodies on the wire. The store keeps no more of an uncompressed body
than that: by default up to 80 KiB, by settings up to megabytes (`[capture] stored_body_bytes`).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from storage.record import Body, Entry, Record

MAX_BYTES: Final = 16 << 20
"""Size of a portion: a few calls of a model with long histories, thousands of small exchanges."""

Row = TypeVar("Row")


def body_bytes(record: Record) -> int:
    return record.request_bytes + record.response_bytes


def portions(
    rows: Sequence[Row], max_rows: int, size_of: Callable[[Row], int], max_bytes: int = MAX_BYTES
) -> Iterator[Sequence[Row]]:
    """Cut rows, in their order, into portions of up to `max_rows` rows and `max_bytes`, or of one
    row.
    """
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
    """Return the size of the parts that clients and servers can make long: a little more than is
    stored of them.

    The captured size is not used: a compressed body is stored inflated, and can be a hundred times
    longer.
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
