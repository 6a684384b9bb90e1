"""Conversations: LLM calls that belong together, as one line each, or one with its calls in order.

All data is read from records that the caller may see. The title is in a body and disappears with
it.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import Final, Literal, get_args

from aiohttp import web
from msgspec import UNSET, UnsetType

from api.http.cursor import cursor_after, read_cursor
from api.http.errors import Refused
from api.http.params import (
    MAX_NATIVE_LIMIT,
    read_amount,
    read_choice,
    read_filter,
    read_int,
    read_page,
)
from api.http.responses import ApiObject, encode_rows, filled, json_response, true_or_unset
from api.http.times import format_time
from api.native.chat.first_text import ConversationOpening, chosen, opening_of
from api.native.projection import record_json
from api.native.records import RecordShown
from api.native.tool_calls import US_PER_MS, KeyShown
from api.services import services_of
from storage.base import Storage
from storage.conversations import (
    Conversation,
    ConversationQuery,
    EarlyCall,
    Sort,
    in_conversations,
)
from storage.query import Filter, RecordQuery
from storage.record import format_id, parse_id
from storage.relational.blocks.portions import body_bytes, portions

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 100
"""Number of conversations per page; all calls of each are summed."""
DEFAULT_CALLS: Final = 200
MAX_TURNS: Final = 1_000_000
MAX_NAMED: Final = 2000
"""Number of newest conversations searched for the beginning of an id: 10 MB."""


SORTS: Final[tuple[Sort, ...]] = get_args(Sort)


_BEGINNING: Final = re.compile("[0-9a-f]{6,31}")


class FailureShown(ApiObject):
    """The newest call that failed."""

    id: str
    status: int | None
    outcome: str
    error_type: str | None


class ConversationShown(ApiObject):
    """One conversation; `failed`, `counted` and `priced` are how many calls failed, have known
    tokens, a known cost.

    What was refused without tokens costs nothing; `cost_usd` is null where no cost is known.
    """

    id: str
    title: str | None
    started_at: str
    ended_at: str
    duration_ms: float
    calls_ms: float
    turns: int
    failed: int
    failure: FailureShown | None
    provider: str | None
    models: dict[str, int]
    tools: dict[str, int]
    failed_tools: dict[str, int]
    counted: int
    priced: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_usd: float | None
    project: str | None
    container: str | None
    client: str | None
    key: KeyShown | None
    route_id: str | None
    user_agent: str | None
    first_id: str
    last_id: str
    sampled: Literal[True] | UnsetType = UNSET
    """There where a rule of capture kept a share of the calls: figures are of what is stored."""


class ConversationPage(ApiObject):
    conversations: list[ConversationShown]
    next_cursor: str | None
    complete: bool


class ConversationDetail(ConversationShown, kw_only=True):
    """One conversation with a page of its calls, oldest first."""

    calls: list[RecordShown]
    next_cursor: str | None
    complete: bool


async def list_conversations(request: web.Request) -> web.Response:
    """List conversations, the one with the newest matching call first, or with the most of what
    `sort` names.

    `min_turns=2` leaves out single calls, `min_failed` and `min_cost_usd` those with fewer failures
    or a lower cost.
    """
    services = services_of(request)
    query = request.query
    others = ("min_turns", "min_failed", "min_cost_usd", "limit", "cursor", "sort")
    wanted = ConversationQuery(
        filter=read_filter(query, services.now_us(), *others, kind="all"),
        min_turns=read_int(query, "min_turns", 1, minimum=1, maximum=MAX_TURNS),
        min_failed=read_int(query, "min_failed", 0, maximum=MAX_TURNS),
        min_cost_usd=read_amount(query, "min_cost_usd"),
        sort=read_choice(query, "sort", SORTS, "newest"),
        limit=read_int(query, "limit", DEFAULT_LIMIT, minimum=1, maximum=MAX_LIMIT),
        before=read_cursor(query.get("cursor"), "desc"),
    )
    page = await services.storage.read(wanted)
    titles = await _titles(services.storage, page.conversations)
    shown = [project(found, title) for found, title in zip(page.conversations, titles, strict=True)]
    cursor = cursor_after("desc", page.next_before)
    return json_response(ConversationPage(shown, cursor, page.complete))


async def get_conversation(request: web.Request) -> web.Response:
    """Return one conversation with its calls, oldest first."""
    services = services_of(request)
    limit, after = read_page(request.query, DEFAULT_CALLS, MAX_NATIVE_LIMIT)
    found, shown = await read_conversation(services.storage, request.match_info["id"])
    calls = await services.storage.read(calls_of(found, limit, after))
    cursor = cursor_after("asc", calls.next_after)
    rows = await encode_rows(calls.records, record_json)
    return json_response(filled(ConversationDetail, shown, calls, calls=rows, next_cursor=cursor))


def calls_of(conversation: Conversation, limit: int, after: int | None) -> RecordQuery:
    """Return the query for calls of a conversation, oldest first."""
    filter = Filter(where=in_conversations([conversation.id]), kind="all")
    return RecordQuery(filter=filter, order="asc", limit=limit, after=after)


async def read_conversation(storage: Storage, text: str) -> tuple[Conversation, ConversationShown]:
    """Return the conversation with an id, or a beginning of one.

    Raises:
        Refused: 404, there is none, or several match.
    """
    filter = Filter(where=in_conversations([await _find(storage, text)]), kind="all")
    page = await storage.read(ConversationQuery(filter=filter, limit=1))
    if not page.conversations:
        raise Refused(404, f"there is no conversation {text[:100]!r}")

    [found] = page.conversations
    [title] = await _titles(storage, [found])
    return found, project(found, title)


async def _find(storage: Storage, text: str) -> bytes:
    """Return the id that a text is, or begins, among the newest conversations; otherwise an unused
    id.

    Raises:
        Refused: 404, several match.
    """
    found = parse_id(text)
    digits = text.replace("-", "").lower()
    if found is not None or not _BEGINNING.fullmatch(digits):
        return found or b""

    page = await storage.read(ConversationQuery(filter=Filter(kind="all"), limit=MAX_NAMED))
    ids = [each.id for each in page.conversations if each.id.hex().startswith(digits)]
    if len(ids) > 1:
        raise Refused(404, f"several conversations begin with {text!r}; give more of the id")

    if ids:
        return ids[0]
    return b""


async def _titles(storage: Storage, found: Sequence[Conversation]) -> list[str | None]:
    """Read the titles of conversations, which the first call alone may lack."""
    firsts = [EarlyCall(each.first.seq, body_bytes(each.first)) for each in found]
    openings = await _openings(storage, firsts)
    behind = [
        call
        for each, first in zip(found, firsts, strict=True)
        if not openings[first.seq].is_work
        for call in each.early
    ]
    openings |= await _openings(storage, behind)

    return [
        chosen([openings[call.seq] for call in (first, *each.early) if call.seq in openings])
        for each, first in zip(found, firsts, strict=True)
    ]


async def _openings(storage: Storage, calls: Sequence[EarlyCall]) -> dict[int, ConversationOpening]:
    """Read the beginnings of calls, by `seq`."""
    openings = {}
    for some in portions(calls, len(calls), lambda call: call.body_bytes):
        payloads = await storage.payloads([call.seq for call in some])
        for call in some:
            payload = payloads.get(call.seq)
            openings[call.seq] = opening_of(None if payload is None else payload.request_body)
            await asyncio.sleep(0)  # A cut body takes up to a millisecond.

    return openings


def project(found: Conversation, title: str | None) -> ConversationShown:
    """Return a conversation in the form of the API."""
    first = found.first
    failure = found.failure
    return filled(
        ConversationShown,
        found,
        first,
        id=format_id(found.id),
        title=title,
        started_at=format_time(found.began_at_us),
        ended_at=format_time(found.ended_at_us),
        duration_ms=(found.ended_at_us - found.began_at_us) / US_PER_MS,
        calls_ms=found.duration_us / US_PER_MS,
        failure=None
        if failure is None
        else filled(FailureShown, failure, id=format_id(failure.id)),
        **found.tokens,
        cost_usd=found.cost_usd if found.priced else None,
        key=None
        if first.key_id is None
        else KeyShown(first.key_id, first.key_name, first.key_last4),
        first_id=format_id(first.id),
        last_id=format_id(found.last.id),
        sampled=true_or_unset(found.sampled),
    )
