"""Read JSON-RPC messages from captured bodies: single, in batches, or as frames of an event stream.

Members stay undecoded until they are needed. Ids are kept as JSON text, because `7` and `"7"` are
two ids. If only one of the two was requested, either answers it, as in MCP's official clients.
Standard: JSON-RPC 2.0 §4 to §6.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from proxy.enrich.formats.cut_json import Members, members_at_end, members_at_start, write_members
from proxy.enrich.formats.frames import BLANK_LINE, split_events, split_of
from proxy.enrich.formats.json_parts import decode, decode_text, members_of
from proxy.enrich.http.exchange import DecodedBody

MAX_MESSAGES: Final = 256
"""Messages read of one batch."""
MAX_ID_BYTES: Final = 256

_WHOLE_NUMBER: Final = re.compile(r'"?(-?[0-9]+)(?:\.0+)?"?')
_RAW: Final = msgspec.Raw()


class _Message(msgspec.Struct, gc=False):
    id: msgspec.Raw = _RAW
    method: Any = None
    params: msgspec.Raw = _RAW
    result: msgspec.Raw = _RAW
    error: msgspec.Raw = _RAW


_INNER_NAMES: Final = frozenset((b"name", b"_meta", b"isError"))
_REQUEST_NAMES: Final = _INNER_NAMES | {b"id", b"method", b"params"}
_RESPONSE_NAMES: Final = _INNER_NAMES | {b"id", b"result", b"error"}
_METHOD: Final = frozenset((b"method",))
_RESULT_BEGINS: Final = re.compile(rb'"result"[ \t\r\n]*+:[ \t\r\n]*+')
_DATA_BEGINS: Final = re.compile(rb"(?:\A|(?<=[\r\n]))data: ?")
_TASK_STATES: Final = ("notifications/tasks", "notifications/tasks/status")
"""State notifications of the tasks extension and of revision 2025-11-25."""
_CANCELLED: Final = "notifications/cancelled"
_CANCELLED_ERROR: Final = b'{"code":-32800,"message":"cancelled by the client"}'
_MESSAGES: Final = msgspec.json.Decoder(_Message | list[_Message])


class RpcRequest(NamedTuple):
    """A request; a notification has an empty id."""

    id: str
    method: str
    params: bytes
    """JSON, or the captured part of it; empty without parameters."""
    is_whole: bool


class RpcResponse(NamedTuple):
    id: str
    result: bytes
    """JSON, or the captured part of it; empty if the response is an error."""
    error: bytes
    """JSON; empty if the response is a result."""
    is_whole: bool
    end: int
    """Offset in the body after the message; -1 if the whole body is the message."""
    is_error: bool = False
    """True if the captured part of an incomplete result reports that the tool failed."""
    sent_bytes: int | None = None
    """Full length of an incomplete result; None if unknown."""


def read_requests(body: DecodedBody) -> list[RpcRequest]:
    """Return the requests of a body, in order, without notifications and responses to the server."""
    if body.is_truncated:
        request = _read_truncated_request(body)
        if request is None:
            return []
        return [request]
    return [
        RpcRequest(id_of(message.id), message.method, bytes(message.params), True)
        for message in _messages(body.head)
        if isinstance(message.method, str) and id_of(message.id)
    ]


def read_cancellations(body: DecodedBody) -> dict[str, RpcResponse]:
    """Return an error response for each request that the client cancels, by request id."""
    if body.is_truncated or _CANCELLED.encode() not in body.head:
        return {}
    messages = (message for message in _messages(body.head) if message.method == _CANCELLED)
    ids = (id_of(members_of(message.params).get("requestId", _RAW)) for message in messages)
    return {
        rpc_id: RpcResponse(rpc_id, b"", _CANCELLED_ERROR, True, -1) for rpc_id in ids if rpc_id
    }


def read_responses(
    body: DecodedBody, content_type: bytes, requests: Sequence[RpcRequest]
) -> list[RpcResponse]:
    """Return the responses of a body, in order.

    Each has the id of its request in the spelling of that request, if it is among `requests`.
    """
    asked = {request.id for request in requests}
    return [
        found
        if found.id in asked
        else found._replace(id=next((i for i in spellings(found.id) if i in asked), found.id))
        for found in _read_responses(body, content_type, is_asked=bool(asked))
    ]


def _read_responses(
    body: DecodedBody, content_type: bytes, *, is_asked: bool
) -> Iterator[RpcResponse]:
    """Read responses. With `is_asked` a stream is the response to a request, and ends with it."""
    if split_of(content_type, body.head) is split_events:
        if is_asked and body.is_truncated and (cut := _read_cut_frame(body)) is not None:
            yield cut
        for frame in body.frames():
            if b'"result"' in frame.data or b'"error"' in frame.data:
                yield from _responses(frame.data, frame.end)
    elif body.is_truncated:
        yield _read_truncated_response(body)
    else:
        yield from _responses(body.head, -1)


def read_task_states(body: DecodedBody, content_type: bytes) -> Iterator[RpcResponse]:
    """Return the task states notified in a stream, each as the result of a response."""
    if all(text.find(b"notifications/tasks") < 0 for text in (body.head, body.tail)):
        return
    for frame in body.frames() if split_of(content_type, body.head) is split_events else ():
        for message in _messages(frame.data):
            if message.method in _TASK_STATES:
                yield RpcResponse("", bytes(message.params), b"", True, frame.end)


def id_of(raw: msgspec.Raw) -> str:
    """Return an id as JSON text; empty if it is null, missing or not a valid id."""
    text = bytes(raw)
    if not text or len(text) > MAX_ID_BYTES or text[:1] in (b"n", b"{", b"[", b"t", b"f"):
        return ""
    return text.decode("utf-8", "replace")


def spellings(rpc_id: str) -> tuple[str, ...]:
    """Return an id and its other spellings: clients accept `"1"` and `1.0` for 1."""
    number = _WHOLE_NUMBER.fullmatch(rpc_id)
    if number is None:
        return (rpc_id,)
    return (rpc_id, number[1], f'"{number[1]}"', f"{number[1]}.0")


def _messages(data: bytes) -> list[_Message]:
    found = decode(_MESSAGES, data)
    if found is None:
        return []
    if isinstance(found, list):
        return found[:MAX_MESSAGES]
    return [found]


def _responses(data: bytes, end: int) -> Iterator[RpcResponse]:
    for message in _messages(data):
        result = bytes(message.result)
        error = bytes(message.error)
        if message.method is None and (result or error):
            yield RpcResponse(id_of(message.id), result, error, True, end)


def _read_truncated_request(body: DecodedBody) -> RpcRequest | None:
    """Read the captured part of a request by structure, so names inside its arguments are not
    mistaken for its own.
    """
    request, params = _along_the_cut(body, _REQUEST_NAMES)
    method = decode_text(request.get(b"method"))
    if method is None:
        return None

    params = _members_of(request.get(b"params")) or params
    return RpcRequest(
        id_of(msgspec.Raw(request.get(b"id", b""))), method, write_members(params), False
    )


def _read_truncated_response(body: DecodedBody) -> RpcResponse:
    response, result = _along_the_cut(body, _RESPONSE_NAMES)
    result = _members_of(response.get(b"result")) or result
    error = response.get(b"error", b"")
    text = b"" if error else body.head + b"\n" + body.tail
    is_error = result.get(b"isError") == b"true"
    begun = _RESULT_BEGINS.search(body.head)
    if begun is None:
        sent_bytes = None
    else:
        sent_bytes = body.text_size - begun.end() - len(b"}")
    return RpcResponse(
        id_of(msgspec.Raw(response.get(b"id", b""))), text, error, False, -1, is_error, sent_bytes
    )


def _read_cut_frame(body: DecodedBody) -> RpcResponse | None:
    """Read the response that the head of a stream ends in, and whose rest is in the gap.

    None if the head ends between two messages.
    """
    gaps = list(BLANK_LINE.finditer(body.head))
    begun = _DATA_BEGINS.search(body.head, gaps[-1].end() if gaps else 0)
    if begun is None:
        head = b""
    else:
        head = body.head[begun.end() :]
    if _RESULT_BEGINS.search(head) is not None:
        message = members_at_start(head, _METHOD)
    else:
        message = []
    # Requests and notifications of the server have a method.
    if begun is None or not message or message[0]:
        return None

    gap = BLANK_LINE.search(body.tail)
    if gap is None:
        tail = body.tail
    else:
        tail = body.tail[: gap.start()]
    end = body.text_size - len(body.tail) + len(tail)
    size = end - begun.end()
    return _read_truncated_response(DecodedBody(head, tail, size, True, None, size, True))._replace(
        end=end
    )


def _along_the_cut(body: DecodedBody, names: frozenset[bytes]) -> tuple[Members, Members]:
    """Return the members of a message, and those of its member with the gap."""
    at_start = members_at_start(body.head, names)
    if body.tail:
        at_end = members_at_end(body.tail, names)
    else:
        at_end = []
    root, inner = ((at_end[place : place + 1] or [{}])[0] for place in (0, 1))
    first, begun = ((at_start[place : place + 1] or [{}])[0] for place in (0, 1))
    return root | first, inner | begun


def _members_of(value: bytes | None) -> Members:
    if value is not None:
        found = members_at_start(value, _INNER_NAMES)
    else:
        found = []
    if found:
        return found[0]
    return {}


MAX_BYTES: Final = 16_384
"""Bytes of a message that are searched. Clients write its method first, or after the parameters of
a short message.
"""
_NAMES: Final = frozenset((b"jsonrpc", b"method", b"params", b"name"))
_OPERATION: Final = re.compile(r"[a-zA-Z]+(?:/[a-zA-Z_]+){0,3}", re.ASCII)
_NAME: Final = re.compile(r"[\w./-]{1,64}", re.ASCII)
_NAMED: Final = frozenset(("tools/call", "prompts/get"))
"""Methods that name a tool or prompt of the server. A resource is named by its address."""
_MAX_METHOD_CHARACTERS: Final = 64


class Operation(NamedTuple):
    """The operation that a message requests: its method, and the tool or prompt that it names.

    All messages of a server are posted to one path, so only these distinguish its requests. A
    client's response to a request of the server, and a batch, have no operation.
    """

    method: str
    name: str | None

    def __str__(self) -> str:
        if self.name is None:
            return self.method
        return f"{self.method}/{self.name}"


def read_operation(body: DecodedBody) -> Operation | None:
    """Read the operation of a message; None if it is not a JSON-RPC request."""
    text = body.head[:MAX_BYTES]
    is_cut = body.is_truncated or len(body.head) > MAX_BYTES
    if b'"method"' in text:
        chain = members_at_start(text, _NAMES)
    else:
        chain = []
    message = chain[0] if chain else {}

    method = decode_text(message.get(b"method"))
    if (
        method is None
        or len(method) > _MAX_METHOD_CHARACTERS
        or _OPERATION.fullmatch(method) is None
    ):
        return None

    is_sure = b"jsonrpc" in message or (
        is_cut and "/" in method
    )  # the member may come after the cut
    if not is_sure:
        return None
    if method not in _NAMED:
        return Operation(method, None)

    params = message.get(b"params")
    if params is not None:
        inner = members_at_start(params, _NAMES)
    else:
        inner = chain[1:]
    if inner:
        name = decode_text(inner[0].get(b"name"))
    else:
        name = None
    return Operation(method, name if name is not None and _NAME.fullmatch(name) else None)
