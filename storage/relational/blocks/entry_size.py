"""What an entry takes of memory beside its objects: the bytes of its texts and data."""

from storage.record import Body, Entry


def data_bytes(entry: Entry) -> int:
    """Return the size of what a client or a server can make long: little more than what is stored of it.

    What was captured says little of it: a compressed body is kept as it reads, and may be a hundred times as long.
    """
    record, payload = entry.record, entry.payload
    size = len(record.path or "") + len(record.query or "") + len(record.user_agent or "") + len(record.data or b"")
    if payload is not None:
        size += len(payload.request_head) + len(payload.response_head)
        size += _body_bytes(payload.request_body) + _body_bytes(payload.response_body)
    for call in entry.tool_calls:
        size += len(call.arguments or b"") + len(call.result or b"") + len(call.error_details or b"") + len(call.search)
    return size


def _body_bytes(body: Body | None) -> int:
    return 0 if body is None else len(body.head) + len(body.tail)
