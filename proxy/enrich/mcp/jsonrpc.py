"""Read JSON-RPC messages from captured bodies: single, in batches, or as frames of an event stream.

Members stay undecoded until they are needed. Ids are kept as JSON text, because `7` and `"7"` are two ids. Standard:
JSON-RPC 2.0 §4 to §6.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from proxy.enrich.formats.json_parts import decode, find_member, find_text
from proxy.enrich.http.bodies import DecodedBody

MAX_MESSAGES: Final = 256
"""Of one batch; the rest is not read."""
MAX_ID_BYTES: Final = 256

_RAW: Final = msgspec.Raw()


class _Message(msgspec.Struct, gc=False):
    id: msgspec.Raw = _RAW
    method: Any = None
    params: msgspec.Raw = _RAW
    result: msgspec.Raw = _RAW
    error: msgspec.Raw = _RAW


class _Cancellation(msgspec.Struct, gc=False):
    request: msgspec.Raw = msgspec.field(default=_RAW, name="requestId")


_CANCELLED: Final = "notifications/cancelled"
_CANCELLED_ERROR: Final = b'{"code":-32800,"message":"cancelled by the client"}'
_CANCELLATION: Final = msgspec.json.Decoder(_Cancellation)
_MESSAGES: Final = msgspec.json.Decoder(_Message | list[_Message])


class RpcRequest(NamedTuple):
    """A request; a notification has an empty id."""

    id: str
    method: str
    params: bytes
    """JSON, or what is left of it; empty without."""
    is_whole: bool


class RpcResponse(NamedTuple):
    id: str
    result: bytes
    """JSON, or what is left of it; empty when it is an error."""
    error: bytes
    """JSON; empty when it is a result."""
    is_whole: bool
    end: int
    """Offset in the body behind the message; -1 when the whole body is the message."""


def read_requests(body: DecodedBody) -> list[RpcRequest]:
    """Return the requests of a body, in order; notifications and responses to the server are left out."""
    if body.is_truncated:
        request = _read_truncated_request(body)
        return [] if request is None else [request]
    return [
        RpcRequest(id_of(message.id), message.method, bytes(message.params), True)
        for message in _messages(body.head)
        if isinstance(message.method, str) and id_of(message.id)
    ]


def read_cancellations(body: DecodedBody) -> dict[str, RpcResponse]:
    """Return, by id, the error responses that stand for requests which the client cancels."""
    if body.is_truncated or _CANCELLED.encode() not in body.head:
        return {}
    messages = (message for message in _messages(body.head) if message.method == _CANCELLED)
    params = (decode(_CANCELLATION, message.params) for message in messages)
    ids = (id_of(found.request) for found in params if found is not None)
    return {rpc_id: RpcResponse(rpc_id, b"", _CANCELLED_ERROR, True, -1) for rpc_id in ids if rpc_id}


def read_responses(body: DecodedBody, content_type: bytes) -> Iterator[RpcResponse]:
    if b"event-stream" in content_type.lower():
        for frame in body.frames():
            if b'"result"' in frame.data or b'"error"' in frame.data:
                yield from _responses(frame.data, frame.end)
    elif body.is_truncated:
        yield _read_truncated_response(body)
    else:
        yield from _responses(body.head, -1)


def id_of(raw: msgspec.Raw) -> str:
    """Return an id as JSON text; empty for null, none, and what cannot be one."""
    text = bytes(raw)
    if not text or len(text) > MAX_ID_BYTES or text[:1] in (b"n", b"{", b"[", b"t", b"f"):
        return ""
    return text.decode("utf-8", "replace")


def _messages(data: bytes) -> list[_Message]:
    found = decode(_MESSAGES, data)
    if found is None:
        return []
    return found[:MAX_MESSAGES] if isinstance(found, list) else [found]


def _responses(data: bytes, end: int) -> Iterator[RpcResponse]:
    for message in _messages(data):
        result, error = bytes(message.result), bytes(message.error)
        if message.method is None and (result or error):
            yield RpcResponse(id_of(message.id), result, error, True, end)


def _read_truncated_request(body: DecodedBody) -> RpcRequest | None:
    method = find_text(body.head, b"method") or find_text(body.tail, b"method", last=True)
    # Members of the message itself come first or last, those of its arguments between them.
    rpc_id = find_member(body.tail, b"id", last=True) or find_member(body.head, b"id")
    if method is None:
        return None
    start = body.head.find(b'"params"')
    raw_id = id_of(msgspec.Raw(rpc_id)) if rpc_id else ""
    return RpcRequest(raw_id, method, body.head[start:] if start >= 0 else b"", False)


def _read_truncated_response(body: DecodedBody) -> RpcResponse:
    rpc_id = find_member(body.head[:512], b"id") or find_member(body.tail, b"id", last=True)
    raw_id = id_of(msgspec.Raw(rpc_id)) if rpc_id else ""
    return RpcResponse(raw_id, body.head + b"\n" + body.tail, b"", False, -1)
