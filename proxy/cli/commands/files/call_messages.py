"""Messages of calls of gRPC, which records show and commands send: written anew, and shown again.

Strategy: a record has what messages say, so their bytes are written by a schema, or without one by
the only reading that fits. Messages are sent without compression.

Invariant: what is written is as long as what was recorded, where that was not compressed, and is
shown as that was shown; of what is redacted the length is not known.

Standard: gRPC over HTTP/2 (messages behind a flag and their length).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from api.native.projection import field_of
from proxy.cli.commands.output import CommandError
from proxy.enrich.grpc.descriptors import NO_METHOD, NO_SCHEMA, Method, Schema, read_schema
from proxy.enrich.grpc.wire_tree import WireReader
from proxy.enrich.grpc.writer import GUESSES, NotWritable, write_guessed, write_message
from proxy.enrich.redact.redactor import Redactor
from storage.record import Body

PROTOBUF: Final = "protobuf"
"""The coding of messages that were not compressed."""
_LENGTH_BYTES: Final = 4
_AS_JSON: Final = b"application/json"
_REDACTED: Final = b"[REDACTED"
_ENCODER: Final = msgspec.json.Encoder()

_Write = Callable[[Any], bytes]


def schema_in(path: Path | None) -> Schema:
    """Read the file of `--protobuf`; without one nothing is known."""
    if path is None:
        return NO_SCHEMA
    try:
        return read_schema(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CommandError(f"--protobuf {path}: {error}", exit_code=2) from error


def method_in(schema: Schema, path: str | None) -> Method:
    """Return what a schema knows of the method that a path calls."""
    return schema.methods.get(path or "", NO_METHOD)


def messages_of(body: Body | None) -> list[Any] | None:
    """Return messages as they are shown; None where they are not kept as such."""
    if body is None or body.truncated or body.omitted:
        return None
    try:
        shown = msgspec.json.decode(body.head)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None

    return shown if isinstance(shown, list) else None


def framed(messages: Iterable[bytes]) -> bytes:
    """Write messages, each behind a flag that it is not compressed, and its length."""
    return b"".join(b"\0" + len(each).to_bytes(_LENGTH_BYTES, "big") + each for each in messages)


def is_json(head: bytes) -> bool:
    """Whether the messages behind a head are JSON."""
    return "+json" in field_of(head, "content-type").lower()


def written(
    schema: Schema, kind: str, head: bytes, body: Body | None, messages: Sequence[Any]
) -> list[bytes] | None:
    """Write messages; None where it is not certain what they were.

    Args:
        schema: By which they are written.
        kind: Their type in it; empty where it is not known.
        head: Of the recorded request or response.
        body: As it was recorded: what is written says the same, and is as long.
        messages: Those of the body, or edited ones.
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
    """Say why `written` returns None."""
    if kind:
        return f"cannot be made again as it was recorded, by {kind} of the schema either"
    return "cannot be written without its schema: --protobuf FILE"


def _ways(schema: Schema, kind: str) -> Iterator[tuple[_Write, Schema, str]]:
    """Yield what writes a message of a known type, and by what it is shown again."""
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
    """Whether it is known how long messages were: neither compressed nor redacted ones."""
    return body.coding == PROTOBUF and _REDACTED not in body.head


def _is_same(again: Sequence[bytes], body: Body, schema: Schema, kind: str) -> bool:
    """Whether messages are as long as those that were recorded, and say the same."""
    if _has_size(body) and len(framed(again)) != body.size:
        return False
    reader = WireReader(bytes, schema)
    said = [reader.show(each, kind)[0] for each in again]
    return _ENCODER.encode(said) == _ENCODER.encode(messages_of(body))


def shown(
    schema: Schema, kind: str, redactor: Redactor, messages: Iterable[bytes], *, are_json: bool
) -> bytes:
    """Return what messages say, as a record would show it: JSON without secrets."""
    redact = partial(redactor.redact_value, kind="binary")
    wire = WireReader(redact, schema, redactor.is_secret_header)
    found = [msgspec.Raw(each) if are_json else wire.show(each, kind)[0] for each in messages]
    return redactor.redact_body(_ENCODER.encode(found), b"", _AS_JSON, is_truncated=False)[0]
