"""Messages of calls of gRPC, which records show and commands send: written anew, and shown again.

Strategy: a record has what messages say, so their bytes are written by a schema, or without one by
the reading that is exactly as long as what was recorded. Messages are sent without compression.

Standard: gRPC over HTTP/2 (messages behind a flag and their length).
"""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from api.native.projection import field_of
from proxy.cli.commands.output import CommandError
from proxy.enrich.grpc.descriptors import NO_METHOD, NO_SCHEMA, Method, Schema, read_schema
from proxy.enrich.grpc.wire_tree import WireReader
from proxy.enrich.grpc.writer import NotWritable, guesses, write_message
from proxy.enrich.redact.redactor import Redactor
from storage.record import Body

PROTOBUF: Final = "protobuf"
"""The coding of messages that were not compressed."""
_LENGTH_BYTES: Final = 4
_AS_JSON: Final = b"application/json"
_ENCODER: Final = msgspec.json.Encoder()


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
) -> bytes | None:
    """Write messages, each behind its length; None where nothing tells how.

    Args:
        schema: By which they are written.
        kind: Their type in it; empty where it is not known.
        head: Of the recorded request or response.
        body: As it was recorded, which tells by its size how to read it.
        messages: Those of the body, or edited ones.
    """
    if is_json(head):
        return framed(map(_ENCODER.encode, messages))
    if kind:
        try:
            return framed(write_message(schema, kind, each) for each in messages)
        except NotWritable:
            return None

    if body is None or body.coding != PROTOBUF:
        return None

    readings = [[*guesses(each)] for each in messages_of(body) or ()]
    sizes = [len(framed(each)) for each in zip(*readings, strict=False)]
    if body.size not in sizes:
        return None

    reading = sizes.index(body.size)
    return framed([*guesses(each)][reading] for each in messages)


def shown(
    schema: Schema, kind: str, redactor: Redactor, messages: Iterable[bytes], *, are_json: bool
) -> bytes:
    """Return what messages say, as a record would show it: JSON without secrets."""
    redact = partial(redactor.redact_value, kind="binary")
    wire = WireReader(redact, schema, redactor.is_secret_header)
    found = [msgspec.Raw(each) if are_json else wire.show(each, kind)[0] for each in messages]
    return redactor.redact_body(_ENCODER.encode(found), b"", _AS_JSON, is_truncated=False)[0]
