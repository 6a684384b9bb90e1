"""Changes between two records, part by part.

Headers that differ in every request (dates, ids, timings) are ignored and listed under `set_apart`;
the order of headers does not count. Measures such as durations, tokens and cost are shown, but are
not differences.
"""

import json
import re
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from api.compare.bodies import (
    NOT_COMPARED,
    SAME_VALUE,
    Fields,
    body_parts,
    fields_changes,
    is_redacted,
    read_form,
)
from api.compare.ignored import NOTHING_IGNORED, Ignored, header_name
from api.compare.json_changes import Changes, parse
from api.compare.multipart import without_boundary
from api.compare.part import Part, make_part
from api.http.accept import media_type_of
from api.http.responses import ApiObject
from api.native.messages import MessageShown
from api.native.projection import split_fields, split_head
from storage.grpc import SWITCHING_PROTOCOLS
from storage.record import Body, Payload, Record

MAX_BODY_BYTES: Final = 4 << 20
"""Bytes of a body that are compared, so that a comparison takes at most a few seconds of CPU."""
_VOLATILE: Final = re.compile(
    r"\A(?:date|age|expires|etag|last-modified|set-cookie|server-timing|nel|report-to|alt-svc"
    r"|idempotency-key|traceparent|tracestate|baggage|b3|sentry-trace|x-cloud-trace-context"
    r"|cf-ray|x-vercel-id|x-served-by|x-timer|x-runtime|x-(?:response|process)-time"
    r"|x-envoy-upstream-service-time)\Z"
    r"|\Ax-(?:b3|datadog|sidelog)-"
    r"|(?:\A|-)(?:request|trace|correlation|invocation)-?id\Z"
    r"|(?:\A|-)rate-?limit(?:-|\Z)"
    r"|-(?:amz-id-2|processing-ms)\Z"
)
"""Names of headers with values that differ in every request."""
_HOST: Final = frozenset(("host",))
_FRAMING: Final = frozenset(("content-length", "transfer-encoding"))
_FORM: Final = "application/x-www-form-urlencoded"
_MEASURES: Final = (
    "duration_us",
    "connect_us",
    "first_byte_us",
    "upstream_us",
    "request_bytes",
    "response_bytes",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_usd",
)
_STREAM_MEASURES: Final = ("first_content_us", "frames", "longest_gap_us")
_NO_BODY: Final = Body(b"", b"", 0, False, None, None)


class Side(NamedTuple):
    """One of two records, with its stored payload and messages."""

    record: Record
    payload: Payload | None
    messages: list[MessageShown]
    has_more_messages: bool
    """True if the record has more messages."""


class Measure(ApiObject):
    """A measure of both records; null if unknown."""

    name: str
    a: float | None
    b: float | None


def compare_parts(a: Side, b: Side, ignored: Ignored = NOTHING_IGNORED) -> list[Part]:
    """Compare everything present in one of two records."""
    parts = [_status(a, b, "status", "outcome", "error_type")]
    changes = _column_changes(a, b, "method", "scheme", "host", "path", "http_version", "name")
    parts.append(make_part("request", changes))
    parts += _query(a.record.query or "", b.record.query or "")

    if a.payload is not None and b.payload is not None:
        parts += _half("request", a, b, ignored)
        parts += _half("response", a, b, ignored)
    elif a.record.kind == b.record.kind == "exchange":
        text = "neither headers nor bodies are stored"
        notes = _notes(a, b, text, lambda side: side.payload is None)
        parts.append(make_part("headers and bodies", Changes(), notes, is_complete=False))

    if SWITCHING_PROTOCOLS in (a.record.status, b.record.status):
        parts += _messages(a, b, ignored)
    data = [side.record.data if side.record.kind == "event" else None for side in (a, b)]
    if any(data):
        parts += body_parts("data", *(_whole(each or b"") for each in data), ignored=ignored)
    return parts


def response_parts(a: Side, b: Side, ignored: Ignored = NOTHING_IGNORED) -> list[Part]:
    """Compare the status and the response of two records."""
    parts = [_status(a, b, "status")]
    if a.payload is not None and b.payload is not None:
        parts += _half("response", a, b, ignored)
    return parts


def measures(a: Record, b: Record) -> list[Measure]:
    """Return the measures present in one of two records."""
    figures = [(name, getattr(a, name), getattr(b, name)) for name in _MEASURES]
    figures += [
        (name, getattr(a.stream, name, None), getattr(b.stream, name, None))
        for name in _STREAM_MEASURES
    ]
    return [Measure(*figure) for figure in figures if figure[1:] != (None, None)]


def _notes(a: Side, b: Side, text: str, applies: Callable[[Side], bool]) -> list[str]:
    return [f"{name}: {text}" for name, side in (("a", a), ("b", b)) if applies(side)]


def _status(a: Side, b: Side, *columns: str) -> Part:
    notes = _notes(a, b, "in progress", lambda side: side.record.seq == 0)
    changes = _column_changes(a, b, *columns)
    return make_part("status", changes, notes, is_complete=not notes)


def _column_changes(a: Side, b: Side, *columns: str) -> Changes:
    """Compare columns of two records. Null counts as a missing value."""
    return fields_changes(_columns(a.record, columns), _columns(b.record, columns))


def _columns(record: Record, names: tuple[str, ...]) -> Fields:
    values = [(name, getattr(record, name)) for name in names]
    return [(name, str(value)) for name, value in values if value is not None]


def _query(ours: str, theirs: str) -> list[Part]:
    if not (ours or theirs):
        return []
    changes = fields_changes(read_form(ours), read_form(theirs))
    notes: list[str] = []
    if is_redacted(ours, theirs):
        notes.append(NOT_COMPARED)
    if ours != theirs and not changes.kept:
        notes.append(SAME_VALUE)
    return [make_part("query", changes, notes)]


def _half(half: str, a: Side, b: Side, ignored: Ignored) -> list[Part]:
    """Compare headers, body and trailers of two requests, or of two responses."""
    heads = [_normalised(split_head(getattr(side.payload, f"{half}_head"))[1]) for side in (a, b)]
    bodies = [_body(side, half) for side in (a, b)]
    compared: list[Part] = []
    if bodies != [_NO_BODY, _NO_BODY]:
        is_form = all(map(_is_form, heads))
        compared = body_parts(f"{half}_body", *bodies, is_form=is_form, ignored=ignored)

    volatile = _HOST
    if all(part.complete for part in compared):
        # The framing follows from the body, which was compared itself.
        volatile |= _FRAMING
    parts = [_headers(f"{half}_headers", *heads, ignored=ignored, volatile=volatile), *compared]

    trailers = [
        _normalised(split_fields(getattr(side.payload, f"{half}_trailers"))) for side in (a, b)
    ]
    if any(trailers):
        parts.append(_headers(f"{half}_trailers", *trailers, ignored=ignored))
    return parts


def _whole(content: bytes) -> Body:
    return Body(content, b"", len(content), False, None, None)


def _normalised(fields: list[list[str]]) -> Fields:
    """Return fields with lower-case names (RFC 9110 §5.1), and media types without boundary."""
    lower = [(name.lower(), value) for name, value in fields]
    return [
        (name, without_boundary(value) if name == "content-type" else value)
        for name, value in lower
    ]


def _is_form(head: Fields) -> bool:
    return any(name == "content-type" and media_type_of(value) == _FORM for name, value in head)


def _body(side: Side, half: str) -> Body:
    """Return the body to compare: `_NO_BODY` without one, and an omitted one if it was removed."""
    body: Body | None = getattr(side.payload, f"{half}_body")
    if body is None:
        size = getattr(side.record, f"{half}_bytes")
        if size and side.record.status != SWITCHING_PROTOCOLS:
            return msgspec.structs.replace(_NO_BODY, size=size, omitted="no longer stored")
        return _NO_BODY

    if len(body.head) <= MAX_BODY_BYTES:
        return body
    return msgspec.structs.replace(body, head=body.head[:MAX_BODY_BYTES], tail=b"", truncated=True)


def _headers(
    name: str,
    ours: Fields,
    theirs: Fields,
    *,
    ignored: Ignored,
    volatile: frozenset[str] = frozenset(),
) -> Part:
    """Compare headers. Volatile ones are ignored and listed under `set_apart`."""
    changes = fields_changes(ours, theirs)
    set_apart = changes.take(lambda change: _is_volatile(header_name(change.path), volatile))
    set_apart += ignored.take(name, changes)

    before = dict(ours)
    after = dict(theirs)
    notes: list[str] = []
    redacted = [field for field in before if is_redacted(before[field], after.get(field, ""))]
    if redacted:
        notes.append(f"{', '.join(redacted)}: {NOT_COMPARED}")
    common = [field for field in before if field in after]
    if common != [field for field in after if field in before]:
        notes.append("the names are in another order")
    return make_part(name, changes, notes, set_apart=set_apart)


def _is_volatile(name: str, volatile: frozenset[str]) -> bool:
    return name in volatile or _VOLATILE.search(name) is not None


def _messages(a: Side, b: Side, ignored: Ignored) -> list[Part]:
    """Compare the messages of each direction.

    Their interleaving depends on timing and is ignored.
    """
    transcripts = (_whole(_transcript(side.messages).encode()) for side in (a, b))
    part, *ends = body_parts("messages", *transcripts, ignored=ignored)
    part.notes += _notes(a, b, "not all messages were kept, or kept whole", _lacks_messages)
    part.complete = not part.notes
    return [part, *ends]


def _lacks_messages(side: Side) -> bool:
    return side.has_more_messages or any(
        message.truncated or message.omitted or message.follows_gap for message in side.messages
    )


def _transcript(messages: list[MessageShown]) -> str:
    """Return messages by direction as JSON. Message text that is JSON is embedded as such."""
    directions: dict[str, list[str]] = {"in": [], "out": []}
    for message in messages:
        if message.opcode in ("ping", "pong"):
            continue

        if message.base64 is None:
            text = message.text
        else:
            text = message.base64
        if message.omitted is not None or message.opcode == "close":
            written = json.dumps(
                {
                    "opcode": message.opcode,
                    "code": message.code,
                    "size": message.size,
                    "text": message.text,
                }
            )
        elif text is not None and _is_json(text):
            written = text
        else:
            written = json.dumps(text)
        directions[message.direction or "in"].append(written)

    return f'{{"in":[{",".join(directions["in"])}],"out":[{",".join(directions["out"])}]}}'


def _is_json(text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True
