"""The messages of a WebSocket, or of a stream of gRPC: `GET /api/records/{id}/messages`, and as
members of its archive.

They are events of the exchange's trace, stored as they pass, so those of a session that still runs
are there too. A trace that a client has named may have several exchanges; its messages name theirs,
and a page leaves the others out: it may be short, or empty, and is the last one only where
`next_cursor` is null.
"""

from dataclasses import replace
from typing import Any, Final, NamedTuple

from aiohttp import web

from api.http.cursor import cursor_after
from api.http.params import read_page
from api.http.responses import ApiObject, encode_rows, filled, json_response
from api.http.times import format_time
from api.native.find import find_record
from api.native.projection import read_json
from api.services import services_of
from storage.base import Storage
from storage.query import Filter, RecordQuery
from storage.record import MESSAGE_EVENTS, Record, format_id
from storage.search.expression import fields

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000

MAX_ARCHIVED: Final = 1000
"""Messages of one exchange in an archive."""
MAX_ARCHIVED_BYTES: Final = 8 * 1024 * 1024
"""Stored bytes of those: an archive is written exchange by exchange, and one must fit into memory.
"""
MAX_ARCHIVED_PAGES: Final = 10
"""Pages of events looked through for those: a client may give its trace to any number of other
exchanges.
"""
_OPCODES: Final = {"text": 1, "binary": 2, "close": 8, "ping": 9, "pong": 10}


_SAID: Final = {
    **dict.fromkeys(
        (
            "direction",
            "opcode",
            "size",
            "inflated_size",
            "text",
            "base64",
            "code",
            "kept",
            "omitted",
        )
    ),
    **dict.fromkeys(("compressed", "truncated", "follows_gap"), False),
    "count": 1,
}
"""What the event of a message says of it, and what it means where it does not."""


class MessageShown(ApiObject):
    """One message, or one control frame; what does not apply, or is not known, is null."""

    id: str
    seq: int
    at: str
    at_us: int
    direction: str | None
    """`in`: from the client; `out`: from the upstream."""
    opcode: str | None
    """Of a WebSocket's."""
    size: int | None
    """Payload bytes as sent: compressed, if it was."""
    count: int
    """More than 1: it stands for so many empty messages of this kind, one after the other."""
    compressed: bool
    inflated_size: int | None
    """Of a compressed one; null where it was not kept whole."""
    text: str | None
    """Of gRPC: JSON. Of a session with a model: pieces of a text are their size, and all of it
    stands with the event that ends it.
    """
    base64: str | None
    """Of a binary one."""
    code: int | None
    """Of a close frame."""
    truncated: bool
    """Whether text or base64 is the beginning only."""
    kept: int | None
    """How many bytes of a truncated one."""
    omitted: str | None
    """Why there is neither: `shed` under pressure, `context` where an earlier message is needed to
    inflate it, `coding` where it cannot be.
    """
    follows_gap: bool
    """Whether messages of its direction passed unrecorded before it."""
    model: str | None
    """Of the response that it ends, in a session with a model; so are the rest."""
    input_tokens: int | None
    output_tokens: int | None
    usage_state: str | None
    cost_usd: float | None


class Archived(NamedTuple):
    """The messages of an exchange as browsers put them into an archive."""

    messages: list[dict[str, object]]
    has_more: bool
    """Whether there are more than an archive holds."""


NOTHING_ARCHIVED: Final = Archived([], has_more=False)


class MessagePage(ApiObject):
    messages: list[MessageShown]
    next_cursor: str | None
    complete: bool


async def list_messages(request: web.Request) -> web.Response:
    """List the messages of an exchange, both directions, in the order they passed."""
    services = services_of(request)
    limit, after = read_page(request.query, DEFAULT_LIMIT, MAX_LIMIT)
    record = await find_record(services, request.match_info["id"])
    page = await services.storage.read(replace(_query_of(record, limit), after=after))
    messages = [event for event in page.records if _belongs(event, record)]
    next_cursor = cursor_after("asc", page.next_after)
    return json_response(
        MessagePage(await encode_rows(messages, show_message), next_cursor, page.complete)
    )


def show_message(event: Record) -> MessageShown:
    data = _data_of(event)
    said = {name: data.get(name, usual) for name, usual in _SAID.items()}
    at_us = event.started_at_us
    return filled(
        MessageShown, event, id=format_id(event.id), at=format_time(at_us), at_us=at_us, **said
    )


async def archived_messages(storage: Storage, record: Record) -> Archived:
    """Read the messages of an exchange for an archive, as many as fit into memory."""
    messages, has_more = await kept_messages(storage, record)
    return Archived([_archived(message) for message in messages], has_more)


async def kept_messages(storage: Storage, record: Record) -> tuple[list[MessageShown], bool]:
    """Read the messages of an exchange, as many as fit into memory; whether there are more."""
    if not record.has_messages:
        return [], False
    query = _query_of(record, MAX_ARCHIVED)
    found: list[MessageShown] = []
    left = MAX_ARCHIVED_BYTES

    for _ in range(MAX_ARCHIVED_PAGES):
        page = await storage.read(query)
        for event in (event for event in page.records if _belongs(event, record)):
            left -= len(event.data or b"")
            if len(found) == MAX_ARCHIVED or left < 0:
                return found, True
            found.append(show_message(event))

        if page.next_after is None:
            return found, False

        query = replace(query, after=page.next_after)

    return found, True


def _archived(message: MessageShown) -> dict[str, object]:
    """Write a message with the members Chromium gives it, and ours behind an underscore."""
    shown: dict[str, object] = {
        "type": "send" if message.direction == "in" else "receive",
        "time": message.at_us / 1_000_000,
        "opcode": _OPCODES.get(message.opcode or "text", -1),
        "data": (message.text if message.base64 is None else message.base64) or "",
        "_size": message.size,
    }
    if message.count > 1:
        shown["_count"] = message.count
    if message.compressed:
        shown["_inflatedSize"] = message.inflated_size
    if message.code is not None:
        shown["_code"] = message.code
    if message.omitted is not None:
        shown["_comment"] = f"not kept: {message.omitted}"
    elif message.truncated:
        shown["_comment"] = f"cut: the first {message.kept} bytes were kept"

    return shown


def _query_of(record: Record, limit: int) -> RecordQuery:
    trace_id = record.trace_id or record.id.hex()
    return RecordQuery(
        filter=Filter(kind="event", where=fields(trace_id=(trace_id,))), order="asc", limit=limit
    )


def _belongs(event: Record, record: Record) -> bool:
    if event.name not in MESSAGE_EVENTS:
        return False
    exchange_id: object = _data_of(event).get("exchange_id")
    return exchange_id is None or exchange_id == format_id(record.id)


def _data_of(event: Record) -> dict[str, Any]:
    data = read_json(event.data)
    if isinstance(data, dict):
        return data
    return {}
