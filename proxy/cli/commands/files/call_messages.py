"""Messages of gRPC calls: encoded from the form in which records show them, and decoded to it.

Strategy: a record holds the content of messages, not their bytes. The bytes are encoded by a
schema, or without a schema by the only guess that fits. Messages are sent uncompressed.

Invariant: encoded messages have the recorded length, unless they were compressed or redacted, and
are shown as they were recorded.

Standard: gRPC over HTTP/2 (messages behind a flag and their length).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from api.native.projection import field_of
from proxy.cli.commands.output import failing
from proxy.enrich.grpc.descriptors import NO_METHOD, NO_SCHEMA, Method, Schema, read_schema
from proxy.enrich.grpc.wire_tree import WireReader
from proxy.enrich.grpc.writer import GUESSES, NotWritable, write_guessed, write_message
from proxy.enrich.redact.redactor import Redactor
from storage.record import Body, Payload, Record

PROTOBUF: Final = "protobuf"
"""The coding of messages that were not compressed."""
_LENGTH_BYTES: Final = 4
_AS_JSON: Final = b"application/json"
_REDACTED: Final = b"[REDACTED"
_ENCODER: Final = msgspec.json.Encoder()

_Write = Callable[[Any], bytes]


def schema_in(path: Path | None) -> Schema:
    """Read the schema of `--protobuf`; without a file, return an empty one."""
    if path is None:
        return NO_SCHEMA
    with failing(f"--protobuf {path}", OSError, ValueError, exit_code=2):
        return read_schema(path.read_bytes())


def messages_of(body: Body | None) -> list[Any] | None:
    """Return the recorded messages; None if they were not kept as messages."""
    if body is None or body.truncated or body.omitted:
        return None
    try:
        shown = msgspec.json.decode(body.head)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None

    if isinstance(shown, list):
        return shown
    return None


def framed(messages: Iterable[bytes]) -> bytes:
    """Return messages with their prefixes: a flag (not compressed) and a length."""
    return b"".join(b"\0" + len(each).to_bytes(_LENGTH_BYTES, "big") + each for each in messages)


def is_json(head: bytes) -> bool:
    """Return whether the messages after a head are JSON."""
    return "+json" in field_of(head, "content-type").lower()


def written(
    schema: Schema, kind: str, head: bytes, body: Body | None, messages: Sequence[Any]
) -> list[bytes] | None:
    """Encode messages; return None if their recorded bytes cannot be determined.

    Args:
        schema: The schema that describes them.
        kind: Their type in the schema; empty if unknown.
        head: The head of the recorded request or response.
        body: The recorded body, which encoding must reproduce.
        messages: The messages of the body, possibly edited.
    """
    if is_json(head):
        return [_ENCODER.encode(each) for each in messages]

    recorded = messages_of(body)
    if body is None or recorded is None:
        return None

    for write, reader, shown_as in _ways(schema, kind):
        again = _each(write, recorded)
        if again is not None and _is_same(again, body, reader, shown_as):
            return _each(write, messages)

    if kind or not _has_size(body):
        return None
    found = {}
    for guess in GUESSES:
        write = partial(write_guessed, guess=guess)
        again = _each(write, recorded)
        if again is not None and _is_same(again, body, NO_SCHEMA, ""):
            found[framed(again)] = write

    # Of two readings that fit, nothing tells which it was.
    if len(found) != 1:
        return None
    [write] = found.values()
    return _each(write, messages)


def why_not_written(kind: str) -> str:
    """Return the reason if `written` returns None."""
    if kind:
        return f"cannot be made again as it was recorded, by {kind} of the schema either"
    return "cannot be written without its schema: --protobuf FILE"


def _ways(schema: Schema, kind: str) -> Iterator[tuple[_Write, Schema, str]]:
    """Yield encoders of a known type, each with the schema and type that decode it again."""
    if kind:
        write = partial(write_message, schema, kind)
        yield write, schema, kind
        yield partial(write, is_packed=False), schema, kind
        yield partial(write, is_named=False), NO_SCHEMA, ""


def _each(write: _Write, messages: Sequence[Any]) -> list[bytes] | None:
    try:
        return [write(each) for each in messages]
    except NotWritable:
        return None


def _has_size(body: Body) -> bool:
    """Return whether the length of the messages is known: they were neither compressed nor
    redacted.
    """
    return body.coding == PROTOBUF and _REDACTED not in body.head


def _is_same(again: Sequence[bytes], body: Body, schema: Schema, kind: str) -> bool:
    """Return whether messages have the length and the content of the recorded ones."""
    if _has_size(body) and len(framed(again)) != body.size:
        return False
    reader = WireReader(bytes, schema)
    said = [reader.show(each, kind)[0] for each in again]
    return _ENCODER.encode(said) == _ENCODER.encode(messages_of(body))


class CallReader:
    """Decodes and encodes the messages of recorded calls, by a schema if there is one."""

    def __init__(self, schema: Schema, redactor: Redactor) -> None:
        self.schema = schema
        self.redactor = redactor

    def method(self, path: str | None) -> Method:
        """Return the method that a path calls; without a schema, an unknown one."""
        return self.schema.methods.get(path or "", NO_METHOD)

    def refusal(self, record: Record, payload: Payload) -> str:
        """Return the reason why the request of a call cannot be encoded; empty if it can."""
        if "-web" in field_of(payload.request_head, "content-type").lower():
            return "gRPC-Web is not supported"
        is_stream = self.method(record.path).kind in ("client", "bidi")
        if is_stream or len(messages_of(payload.request_body) or ()) > 1:
            return "the client of the gRPC call sent several messages"
        return ""

    def shown(
        self, kind: str, messages: Iterable[bytes], *, are_json: bool, has_names: bool = True
    ) -> bytes:
        """Return messages as a record would show them: JSON without secrets."""
        redact = partial(self.redactor.redact_value, kind="binary")
        schema = self.schema if has_names else NO_SCHEMA
        wire = WireReader(redact, schema, self.redactor.is_secret_header)
        found = [msgspec.Raw(each) if are_json else wire.show(each, kind)[0] for each in messages]
        encoded = _ENCODER.encode(found)
        return self.redactor.redact_body(encoded, b"", _AS_JSON, is_truncated=False)[0]
