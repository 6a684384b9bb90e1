"""Heads and bodies as rows of their own, plain, so that the server can look into them.

Strategy: heads and bodies are two tables, so that retention drops bodies by the day and readers of heads load no
bodies. The server compresses them, granules of few rows at a time: one payload is read without its neighbours' day.

Invariant: `payload_of` of what `heads_of` and `bodies_of` wrote is the payload.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from storage.clickhouse.native import Column
from storage.clickhouse.writes.rows import Rows
from storage.record import Body, Entry, Payload

HEADS: Final = ("request_head", "response_head", "request_trailers", "response_trailers")
"""Columns of `heads`, beside the timeline."""
BODIES: Final = (
    "request_body", "request_tail", "request_form", "response_body", "response_tail", "response_form",
)  # fmt: skip
"""Columns of `bodies`: the windows as they are, and what is said of each body."""
HEAD_TYPES: Final = {"started_at_us": "Int64"} | dict.fromkeys(HEADS, "String") | {"timeline": "Array(UInt8)"}
BODY_TYPES: Final = {"started_at_us": "Int64"} | {
    name: "Array(UInt8)" if name.endswith("form") else "String" for name in BODIES
}
_Timeline = list[tuple[int, int]]
_Form = tuple[Any, ...]
"""What is said of a body: its members from the third on."""
_timeline_decoder: Final[msgspec.msgpack.Decoder[_Timeline]] = msgspec.msgpack.Decoder(_Timeline)
_form_decoder: Final[msgspec.msgpack.Decoder[_Form]] = msgspec.msgpack.Decoder(_Form)
_encode: Final = msgspec.msgpack.Encoder().encode
_MAX_REMEMBERED: Final = 10_000
_MAX_CODING_CHARACTERS: Final = 64
"""Of what is remembered: a client may name any codings."""


def heads_of(entries: Sequence[Entry]) -> Rows | None:
    """Make the rows of `heads`; None without any. See `Rows` for what it raises."""
    places = [place for place, entry in enumerate(entries) if entry.payload is not None]
    if not places:
        return None
    payloads = [entry.payload for entry in entries if entry.payload is not None]
    columns = [Column(name, HEAD_TYPES[name], [getattr(payload, name) for payload in payloads]) for name in HEADS]
    timelines = [_encode(payload.timeline) if payload.timeline else b"" for payload in payloads]
    return Rows.write(
        "heads", places, [_started(entries, places), *columns, Column("timeline", HEAD_TYPES["timeline"], timelines)]
    )


def bodies_of(entries: Sequence[Entry]) -> Rows | None:
    """Make the rows of `bodies`, of records that have one; None without any. See `Rows` for what it raises."""
    places = [
        place
        for place, entry in enumerate(entries)
        if entry.payload is not None
        and not (entry.payload.request_body is None and entry.payload.response_body is None)
    ]
    if not places:
        return None
    columns = [_started(entries, places)]
    for side in ("request", "response"):
        bodies: list[Body | None] = [getattr(entries[place].payload, f"{side}_body") for place in places]
        columns += (
            Column(f"{side}_body", "String", [b"" if body is None else body.head for body in bodies]),
            Column(f"{side}_tail", "String", [b"" if body is None else body.tail for body in bodies]),
            Column(f"{side}_form", "Array(UInt8)", [_form(body) for body in bodies]),
        )
    return Rows.write("bodies", places, columns)


def payload_of(heads: Sequence[Any], bodies: Sequence[Any] | None) -> Payload:
    """Put a payload together.

    Args:
        heads: Values of `HEADS` and of `timeline`.
        bodies: Values of `BODIES`; None where there are none (any more).
    """
    request_head, response_head, request_trailers, response_trailers = map(_bytes, heads[: len(HEADS)])
    timeline = _timeline_decoder.decode(heads[-1]) if heads[-1] else []
    request, response = (None, None) if bodies is None else (_body(bodies[:3]), _body(bodies[3:]))
    return Payload(request_head, response_head, request, response, timeline, request_trailers, response_trailers)


def _started(entries: Sequence[Entry], places: Sequence[int]) -> Column:
    return Column("started_at_us", "Int64", [entries[place].record.started_at_us for place in places])


def _form(body: Body | None) -> bytes:
    if body is None:
        return b""
    form_of = _form_of if len(body.coding or "") <= _MAX_CODING_CHARACTERS else _form_of.__wrapped__
    return form_of(body.size, body.truncated, body.coding, body.omitted, body.coding_error, body.charset)


@lru_cache(_MAX_REMEMBERED)
def _form_of(*form: int | str | None) -> bytes:
    return _encode(form)


def _body(values: Sequence[Any]) -> Body | None:
    head, tail, form = values
    if not form:
        return None
    return Body(_bytes(head), _bytes(tail), *_form_decoder.decode(form))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
