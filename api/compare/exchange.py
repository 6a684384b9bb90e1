"""What differs between two records, part by part. Pure.

What changes from request to request by itself (dates, ids, timings, the order of headers) is set
apart: it is shown, and is no difference. Nor are figures, such as durations, tokens and cost, which
stand beside each other.
"""

import json
import re
from collections.abc import Callable
from itertools import compress
from operator import not_
from typing import Final, NamedTuple

import msgspec

from api.compare.apart import NOTHING_APART, Apart
from api.compare.bodies import (
    NOT_COMPARED,
    SAME_VALUE,
    Fields,
    body_parts,
    fields_changes,
    fields_of,
    is_redacted,
)
from api.compare.json_changes import Changes, parse
from api.compare.multipart import without_boundary
from api.compare.part import Part, shown
from api.http.responses import ApiObject
from api.native.messages import MessageShown
from api.native.projection import split_fields, split_head
from storage.grpc import SWITCHING_PROTOCOLS
from storage.record import Body, Payload, Record

MAX_BODY_BYTES: Final = 4 << 20
"""Compared of the beginning of a body: a few seconds of CPU at most, whatever it is."""
_VOLATILE: Final = (
    r"date|age|expires|etag|last-modified|set-cookie|server-timing|nel|report-to|alt-svc|idempotency-key"
    r"|traceparent|tracestate|baggage|b3|sentry-trace|x-(?:b3|datadog|sidelog)-.*|x-cloud-trace-context"
    r"|(?:.*-)?(?:request|trace|correlation|invocation)-?id|.*-amz-id-2|cf-ray|x-vercel-id|x-served-by|x-timer"
    r"|(?:.*-)?rate-?limit(?:-.*)?|x-runtime|.*-processing-ms|x-(?:response|process)-time|x-envoy-upstream-service-time"
)
_FRAMING: Final = r"content-length|transfer-encoding"
"""Follow from the body, which is compared itself."""
_MEASURES: Final = (
    *(
        "duration_us",
        "connect_us",
        "first_byte_us",
        "upstream_us",
        "request_bytes",
        "response_bytes",
    ),
    *(
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "cost_usd",
    ),
)
_STREAM_MEASURES: Final = ("first_content_us", "frames", "longest_gap_us")


class Side(NamedTuple):
    """One of two records, with what is kept of it."""

    record: Record
    payload: Payload | None
    messages: list[MessageShown]
    has_more_messages: bool
    """Than were read."""


class Measure(ApiObject):
    """A figure of both; null where it is not known."""

    name: str
    a: float | None
    b: float | None


def compare_parts(a: Side, b: Side, apart: Apart = NOTHING_APART) -> list[Part]:
    """Compare everything that one of them has."""
    parts = [_status(a, b, "status", "outcome", "error_type")]
    ours, theirs = (
        _fields(side.record, "method", "scheme", "host", "path", "http_version", "name")
        for side in (a, b)
    )
    parts += [
        shown("request", fields_changes(ours, theirs)),
        *_query(a.record.query or "", b.record.query or ""),
    ]

    if a.payload is not None and b.payload is not None:
        parts += [part for half in ("request", "response") for part in _half(half, a, b, apart)]
    elif a.record.kind == b.record.kind == "exchange":
        notes = _notes(
            a, b, "neither headers nor bodies are stored", lambda side: side.payload is None
        )
        parts.append(shown("headers and bodies", Changes(), notes, is_complete=False))

    if SWITCHING_PROTOCOLS in (a.record.status, b.record.status):
        parts += _messages(a, b, apart)
    data = [_kept(side.record.data if side.record.kind == "event" else None) for side in (a, b)]
    if any(body.size for body in data):
        parts += body_parts("data", *data, apart=apart)
    return parts


def response_parts(a: Side, b: Side, apart: Apart = NOTHING_APART) -> list[Part]:
    """Compare what was answered."""
    parts = [_status(a, b, "status")]
    if a.payload is not None and b.payload is not None:
        parts += _half("response", a, b, apart)
    return parts


def _status(a: Side, b: Side, *names: str) -> Part:
    ours, theirs = (_fields(side.record, *names) for side in (a, b))
    notes = _notes(a, b, "in progress", lambda side: side.record.seq == 0)
    return shown("status", fields_changes(ours, theirs), notes, is_complete=not notes)


def measures(a: Record, b: Record) -> list[Measure]:
    """Put the figures beside each other that one of them has."""
    found = [(name, getattr(a, name), getattr(b, name)) for name in _MEASURES]
    found += [
        (name, getattr(a.stream, name, None), getattr(b.stream, name, None))
        for name in _STREAM_MEASURES
    ]
    return [Measure(*each) for each in found if each[1:] != (None, None)]


def _notes(a: Side, b: Side, text: str, applies: Callable[[Side], bool]) -> list[str]:
    return [f"{name}: {text}" for name, side in (("a", a), ("b", b)) if applies(side)]


def _fields(record: Record, *names: str) -> Fields:
    return [(name, str(value)) for name in names if (value := getattr(record, name)) is not None]


def _query(ours: str, theirs: str) -> list[Part]:
    changes = fields_changes(fields_of(ours), fields_of(theirs))
    notes = [NOT_COMPARED] if is_redacted(ours, theirs) else []
    if ours != theirs and not changes.kept:
        notes.append(SAME_VALUE)
    if ours or theirs:
        return [shown("query", changes, notes)]
    return []


def _half(half: str, a: Side, b: Side, apart: Apart) -> list[Part]:
    """Compare headers, body and trailers of the requests, or of the responses."""
    heads = [_lower(split_head(getattr(side.payload, f"{half}_head"))[1]) for side in (a, b)]
    bodies = [_body(side, half) for side in (a, b)]
    is_form = all(
        ("content-type", "application/x-www-form-urlencoded") in map(_media_type, head)
        for head in heads
    )
    compared: list[Part] = []
    if bodies != [_kept(None), _kept(None)]:
        compared = body_parts(f"{half}_body", *bodies, is_form=is_form, apart=apart)
    if all(part.complete for part in compared):
        volatile = f"host|{_FRAMING}"
    else:
        volatile = "host"
    parts = [_headers(f"{half}_headers", *heads, apart=apart, volatile=volatile), *compared]
    trailers = [_lower(split_fields(getattr(side.payload, f"{half}_trailers"))) for side in (a, b)]
    if any(trailers):
        return [*parts, _headers(f"{half}_trailers", *trailers, apart=apart)]

    return parts


def _kept(content: bytes | None) -> Body:
    content = content or b""
    return Body(
        head=content, tail=b"", size=len(content), truncated=False, coding=None, omitted=None
    )


def _lower(fields: list[list[str]]) -> Fields:
    """Names of fields have no case (RFC 9110, 5.1), and delimiters of multipart bodies no meaning."""
    lower = [(name.lower(), value) for name, value in fields]
    return [
        (name, without_boundary(value) if name == "content-type" else value)
        for name, value in lower
    ]


def _media_type(field: tuple[str, str]) -> tuple[str, str]:
    return field[0], field[1].partition(";")[0].strip().lower()


def _body(side: Side, half: str) -> Body:
    """Return a body to compare: an empty one for none, and one that was not kept where retention
    has removed it.
    """
    body: Body | None = getattr(side.payload, f"{half}_body")
    size = getattr(side.record, f"{half}_bytes")
    if body is None:
        is_gone = size > 0 and side.record.status != SWITCHING_PROTOCOLS
        if is_gone:
            return msgspec.structs.replace(_kept(None), size=size, omitted="no longer stored")
        return _kept(None)

    if len(body.head) <= MAX_BODY_BYTES:
        return body

    return msgspec.structs.replace(body, head=body.head[:MAX_BODY_BYTES], tail=b"", truncated=True)


def _headers(part: str, ours: Fields, theirs: Fields, *, apart: Apart, volatile: str = "") -> Part:
    found = fields_changes(ours, theirs)
    pattern = re.compile(rf"(?:{volatile}|{_VOLATILE})(?:\[[0-9]+\])?")
    is_volatile = [pattern.fullmatch(str(change.path[0])) is not None for change in found.kept]
    set_apart = [*compress(found.kept, is_volatile)]
    found.kept = [*compress(found.kept, map(not_, is_volatile))]
    set_apart += apart.take(part, found)
    before = dict(ours)
    after = dict(theirs)
    redacted = [name for name in before if is_redacted(before[name], after.get(name, ""))]
    notes = [f"{', '.join(redacted)}: {NOT_COMPARED}"] if redacted else []
    if [name for name in before if name in after] != [name for name in after if name in before]:
        notes.append("the names are in another order")
    return shown(part, found, notes, apart=set_apart)


def _messages(a: Side, b: Side, apart: Apart) -> list[Part]:
    """Compare what was sent either way, each for itself: how these meet is a matter of time, as
    pings are.
    """
    sides = (_kept(_transcript(side.messages).encode()) for side in (a, b))
    part, *ends = body_parts("messages", *sides, apart=apart)
    part.notes += _notes(a, b, "not all messages were kept, or kept whole", _lacks_messages)
    part.complete = not part.notes
    return [part, *ends]


def _lacks_messages(side: Side) -> bool:
    return side.has_more_messages or any(
        m.truncated or m.omitted or m.follows_gap for m in side.messages
    )


def _transcript(messages: list[MessageShown]) -> str:
    """Write messages as JSON, as which they may have come."""
    ways: dict[str, list[str]] = {"in": [], "out": []}
    for message in messages:
        content: object = message.text if message.base64 is None else message.base64
        if message.omitted is not None or message.opcode == "close":
            content = {
                "opcode": message.opcode,
                "code": message.code,
                "size": message.size,
                "text": message.text,
            }

        if message.opcode not in ("ping", "pong"):
            ways[message.direction or "in"].append(
                str(content) if _is_json(content) else json.dumps(content)
            )

    return f'{{"in":[{",".join(ways["in"])}],"out":[{",".join(ways["out"])}]}}'


def _is_json(content: object) -> bool:
    try:
        parse(str(content))
    except ValueError:
        return False
    return True
