"""Read a gRPC call: its status and counts, and its bodies as JSON lists of messages.

A body is stored as decoded values: after redaction its bytes would not form messages, because
their length prefixes would be wrong. So searches, pages and programs read protobuf values like any
JSON.
Standards: gRPC over HTTP/2; gRPC-Web, whose trailers are the last frame of the body and are stored
as trailers.
"""

import logging
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from proxy.enrich.facts import Facts
from proxy.enrich.grpc.descriptors import NO_METHOD, NO_SCHEMA, Method, Schema, read_schema
from proxy.enrich.grpc.messages import (
    WEB_TRAILERS,
    Message,
    Messages,
    inflate,
    last_frame,
    split,
    without_text_coding,
)
from proxy.enrich.grpc.status import details_in, encoding_in, status_in, timeout_us
from proxy.enrich.grpc.unsaid import unsaid_status
from proxy.enrich.grpc.well_known import error_schema
from proxy.enrich.grpc.wire_tree import WireReader
from proxy.enrich.http.exchange import DecodedBody, DecodedExchange
from proxy.enrich.redact.redactor import Redactor
from proxy.http2.errors import ErrorCode
from proxy.ring.exchange import (
    FLAG_HEADS_OFF,
    NOTE_GRPC_MESSAGES,
    NOTE_STREAM,
    NOTES_RESPONSE_TRAILERS,
    CapturedExchange,
)
from proxy.ring.http2_notes import NOT_RESET, MessagesNote, read_messages_note, read_stream_note
from proxy.ring.message import IN, CapturedMessage
from proxy.settings.model import RouteSettings
from storage.grpc import CallKind, Grpc
from storage.record import Record

log = logging.getLogger(__name__)

_TYPE: Final = re.compile(rb"(?i)application/grpc(?:[-+; ]|\Z)")
"""The next byte distinguishes it from `application/grpcfoo`."""
_IS_ANSWERED: Final = re.compile(rb"(?i)\ncontent-type:[ \t]*application/grpc[-+; \r]")
"""Finds a gRPC content type in the head of a response. A gateway may answer with a page instead,
whose bytes a worker counted as messages.
"""
_JSON: Final = re.compile(rb"(?i)\A[^+]*\+json")
_AS_TEXT: Final = b"-text"
"""Suffix of gRPC-Web content types in base64."""
_AS_JSON: Final = b"application/json"
"""Content type of the converted bodies. The recorded heads keep the original."""
_ANY: Final = msgspec.json.Decoder()
_ENCODER: Final = msgspec.json.Encoder()
LONG_BYTES: Final = 4096
"""Size above which converting messages takes long: 64 KiB of the smallest fields take 25 ms."""
_ERRORS: Final = error_schema()
_RESETS: Final = {int(code): code.name for code in ErrorCode}


def is_grpc(content_type: bytes) -> bool:
    """Return True if a content type is that of gRPC or gRPC-Web."""
    return _TYPE.match(content_type) is not None


def is_long_call(exchange: DecodedExchange) -> bool:
    """Return True if an exchange is a gRPC call whose messages take long to convert."""
    bodies = (exchange.request_body, exchange.response_body)
    size = sum(len(body.head) for body in bodies if body is not None)
    return size > LONG_BYTES and is_grpc(exchange.request.content_type)


class GrpcReader:
    """Reads the calls of one sidecar."""

    def __init__(
        self,
        redactor: Redactor,
        routes: Iterable[RouteSettings],
        max_message_bytes: int,
    ) -> None:
        """Read the schemas of the routes.

        Calls of a route with an unreadable schema are shown by field numbers. Stream messages are
        inflated to at most `max_message_bytes`.
        """
        self._redactor = redactor
        self._max_message_bytes = max_message_bytes
        self._schemas: dict[str, Schema] = {}

        for route in routes:
            if route.protobuf:
                try:
                    self._schemas[route.id] = read_schema(Path(route.protobuf).read_bytes())
                except (OSError, ValueError) as error:
                    log.warning(
                        "route %s: the schema %s cannot be read: %s",
                        route.id,
                        route.protobuf,
                        error,
                    )

    def begin(self, record: Record, request_head: bytes) -> Grpc:
        """Return the facts of a running call, from the head of its request."""
        _, method = self._method(record.route_id, record.path)
        is_stream = False if method.kind == "unary" else None
        return Grpc(timeout_us=timeout_us(request_head), kind=method.kind, is_stream=is_stream)

    def read(self, record: Record, captured: CapturedExchange, exchange: DecodedExchange) -> Facts:
        """Return the status, counts and end of a call, and convert its bodies to JSON."""
        request = exchange.request
        response = exchange.response
        sent = encoding_in(request.redacted)
        received = encoding_in(response.redacted)
        asked = _split(exchange.request_body, request.content_type, sent)
        answered = _split(exchange.response_body, response.content_type, received)
        trailers = _web_trailers(exchange)
        if trailers is not None:
            captured.notes[NOTES_RESPONSE_TRAILERS[0]] = trailers
        grpc = Grpc(
            timeout_us=timeout_us(request.redacted), encoding=received or sent, is_stream=False
        )
        _count(grpc, captured, asked, answered)
        schema, method = self._method(record.route_id, record.path)
        self._read_end(grpc, captured)
        grpc.kind = method.kind or _kind_of(grpc, is_asked=record.request_complete)
        if grpc.status is None:
            grpc.status = unsaid_status(record, grpc, captured, exchange)
        facts = Facts(grpc=grpc)
        if grpc.status:
            _note_failure(facts, grpc, self._details(captured))
        if asked is not None and exchange.request_body is not None:
            show = self._shown(schema, method.request, request.content_type)
            exchange.request_body = show.as_json(exchange.request_body, asked, sent)
            exchange.request = replace(request, content_type=_AS_JSON)

        if answered is not None and exchange.response_body is not None:
            show = self._shown(schema, method.response, response.content_type)
            exchange.response_body = show.as_json(exchange.response_body, answered, received)
            exchange.response = replace(response, content_type=_AS_JSON)

        return facts

    def is_long(self, message: CapturedMessage) -> bool:
        """Return True if converting a message of a stream takes long."""
        if message.is_compressed:
            size = self._max_message_bytes
        else:
            size = len(message.data)
        return size > LONG_BYTES

    def describe(self, message: CapturedMessage, route_id: str) -> dict[str, object]:
        """Return the event data of a stream's message: direction, size, and its content as JSON."""
        path, content_type, encoding = message.session.split(b"\n")
        is_in = message.direction == IN
        fields: dict[str, object] = {"direction": "in" if is_in else "out", "size": message.size}
        if message.follows_gap:
            fields["follows_gap"] = True
        data, is_whole = message.data, len(message.data) == message.size
        if message.is_compressed:
            data, is_whole = inflate(
                data, encoding.decode(), self._max_message_bytes, is_whole=is_whole
            )
            fields["compressed"], fields["inflated_size"] = True, len(data) if is_whole else None

        schema, method = self._method(route_id, path.decode(errors="replace"))
        if is_in:
            type_name = method.request
        else:
            type_name = method.response
        show = self._shown(schema, type_name, content_type)
        value, is_all = show.message(Message(data, message.size, is_whole, message.is_compressed))
        if message.size and not data:
            fields["text"], fields["omitted"] = None, "coding" if message.data else "shed"
            return fields

        is_cut = show.is_json and not is_whole and data[:1] in (b"{", b"[")
        shown = data if is_cut else _ENCODER.encode(value)
        text, _ = self._redactor.redact_body(shown, b"", _AS_JSON, is_truncated=is_cut)
        fields["text"] = text.decode("utf-8", "replace")
        if not is_all:
            fields["truncated"], fields["kept"] = True, len(data)
        return fields

    def _read_end(self, grpc: Grpc, captured: CapturedExchange) -> None:
        status = status_in(captured.notes.get(NOTES_RESPONSE_TRAILERS[0], b""))
        if status is not None:
            grpc.end = "trailers"
        elif (status := status_in(captured.response_head)) is not None:
            grpc.end = "trailers_only"

        stream = read_stream_note(captured.notes.get(NOTE_STREAM, b""))
        if stream is not None and stream.reset_by != NOT_RESET:
            grpc.reset_code = _RESETS.get(stream.reset_code, str(stream.reset_code))
            grpc.end = "reset" if status is None else grpc.end
        if status is None:
            return

        grpc.status = status.code
        if status.message and not captured.flags & FLAG_HEADS_OFF:
            grpc.message = self._redactor.redact_value(status.message).decode(errors="replace")

    def _details(self, captured: CapturedExchange) -> msgspec.Raw | None:
        """Return the error details that a service sent in addition to its status; None without any."""
        trailers = captured.notes.get(NOTES_RESPONSE_TRAILERS[0], b"")
        data = details_in(trailers) or details_in(captured.response_head)
        if not data or captured.flags & FLAG_HEADS_OFF:
            return None

        shown, _ = self._wire(_ERRORS).show(data, "google.rpc.Status")
        if isinstance(shown, dict):
            details = shown.get("details", [])
        else:
            details = []
        text, _ = self._redactor.redact_body(
            _ENCODER.encode(details), b"", _AS_JSON, is_truncated=False
        )
        if details:
            return msgspec.Raw(text)
        return None

    def _method(self, route_id: str | None, path: str | None) -> tuple[Schema, Method]:
        schema = self._schemas.get(route_id or "", NO_SCHEMA)
        return schema, schema.methods.get(path or "", NO_METHOD)

    def _shown(self, schema: Schema, type_name: str, content_type: bytes) -> "_Shown":
        return _Shown(self._wire(schema), type_name, content_type)

    def _wire(self, schema: Schema) -> WireReader:
        redact = partial(self._redactor.redact_value, kind="binary")
        return WireReader(redact, schema, self._redactor.is_secret_header, self._redact_cut)

    def _redact_cut(self, data: bytes) -> bytes:
        return self._redactor.redact_body(data, b"", b"", True)[0]


def _note_failure(facts: Facts, grpc: Grpc, details: msgspec.Raw | None) -> None:
    """Set a failed status as the error, with message and details in fields that searches read."""
    facts.error_type = grpc.status_name
    facts.level = "error" if grpc.is_fault else "warn"
    if grpc.message:
        facts.data["error_message"] = grpc.message
    if details is not None:
        facts.data["error_details"] = details


class _Shown:
    """Converts the messages of one body."""

    def __init__(self, wire: WireReader, type_name: str, content_type: bytes) -> None:
        self._wire = wire
        self._type_name = type_name
        self.is_json = _JSON.search(content_type) is not None

    def as_json(self, body: DecodedBody, messages: Messages, encoding: str | None) -> DecodedBody:
        """Return a body with its messages as a JSON list. Its texts are not redacted yet."""
        values = []
        is_whole = messages.is_ended
        for message in messages.found:
            value, is_all = self.message(message)
            values.append(value)
            is_whole = is_whole and is_all

        text = _ENCODER.encode(values)
        coding = None if self.is_json else "protobuf"
        if body.coding or encoding:
            coding = ", ".join(filter(None, (body.coding, encoding, coding)))
        return DecodedBody(text, b"", body.size, not is_whole, coding, len(text), is_whole)

    def message(self, message: Message) -> tuple[object, bool]:
        """Return a message as a JSON value, None if nothing is readable, and True if it is
        complete.
        """
        if message.size and not message.data:
            return None, False
        if self.is_json and message.is_whole:
            try:
                _ANY.decode(message.data)
            except (msgspec.DecodeError, UnicodeDecodeError):
                pass
            else:
                return msgspec.Raw(message.data), True

        if self.is_json and not message.is_whole and message.data[:1] in (b"{", b"["):
            return self._wire.redact_cut(message.data).decode(errors="replace"), False

        return self._wire.show(
            message.data, self._type_name, is_whole=message.is_whole, size=message.known_bytes
        )


def _split(body: DecodedBody | None, content_type: bytes, encoding: str | None) -> Messages | None:
    """Split a body into messages; None if it has no messages, whatever its content type."""
    if body is None or not is_grpc(content_type):
        return None
    messages = split(
        without_text_coding(body) if content_type.lower().find(_AS_TEXT) >= 0 else body, encoding
    )
    if messages.found or messages.is_ended:
        return messages

    return None


def _web_trailers(exchange: DecodedExchange) -> bytes | None:
    body = exchange.response_body
    content_type = exchange.response.content_type.lower()
    if body is None or content_type.find(b"-web") < 0:
        return None
    return last_frame(body, WEB_TRAILERS, is_text=content_type.find(_AS_TEXT) >= 0)


def _count(
    grpc: Grpc, captured: CapturedExchange, asked: Messages | None, answered: Messages | None
) -> None:
    """Set the counts of a call's messages: those of the worker, or for gRPC-Web those of bodies
    that were captured whole.
    """
    counts = read_messages_note(captured.notes.get(NOTE_GRPC_MESSAGES, b""))
    if counts is None:
        request = _counted(asked, captured.request_bytes)
        response = _counted(answered, captured.response_bytes)
        if request is None or response is None:
            grpc.request_messages, grpc.response_messages = (
                request and request[0],
                response and response[0],
            )
            return

        counts = MessagesNote(*request, *response)
    elif not _IS_ANSWERED.search(captured.response_head):
        counts = counts._replace(response_messages=0, response_largest_bytes=0)

    grpc.request_messages = counts.request_messages
    grpc.response_messages = counts.response_messages
    grpc.is_stream = counts.is_stream
    grpc.largest_bytes = max(counts.request_largest_bytes, counts.response_largest_bytes)


def _counted(messages: Messages | None, size: int) -> tuple[int, int] | None:
    """Return the number of messages of a body and the largest size; None if a part is missing."""
    if messages is None:
        if size:
            return None
        return (0, 0)
    if messages.is_ended:
        return (len(messages.found), max((each.size for each in messages.found), default=0))
    return None


def _kind_of(grpc: Grpc, *, is_asked: bool) -> CallKind | None:
    """Infer the kind of a call from its message counts.

    None if a side ended before it could have sent a second message.
    """
    requests = grpc.request_messages or 0
    responses = grpc.response_messages or 0
    is_one = requests == 1 and is_asked

    if responses > 1:
        if requests > 1:
            return "bidi"
        if is_one:
            return "server"
        return None

    if not responses or grpc.status is None:
        return None
    if requests > 1:
        return "client"
    if is_one:
        return "unary"

    return None
