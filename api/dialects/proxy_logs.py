"""Proxy logs: `GET /api/proxy-logs/_logs`, `/_logs/stats` and `/_logs/stream`.

See `api/dialects/README.md`. This module reads parameters and returns pages; entries are made in
`entries.py`, the page arithmetic is in `entry_pages.py`, the fan-out in `fanout.py`. If the fan-out
is off, or the caller is not an admin, `cursor` is ignored.
"""

from dataclasses import replace
from typing import Final

from aiohttp import web
from msgspec import UNSET, UnsetType

from api.access.snapshot_cursor import SnapshotCursors
from api.dialects.entries import (
    ENTRY_KINDS,
    Halves,
    LogEntryPage,
    encode_entries,
    read_bodies,
    show_entry,
)
from api.dialects.entry_pages import EntryQuery, read_entry_page
from api.dialects.fanout import answer_snapshot
from api.http import params
from api.http.errors import BadParameter, ErrorFormat, Refused, phrase
from api.http.paging import Frozen, freeze, freeze_and_count
from api.http.responses import ApiObject, encode_rows, json_response, true_or_unset
from api.services import Services, services_of
from api.stream.streams import serve_stream
from api.stream.tail_ring import Interest
from storage.query import Count, CountQuery, Filter, StatsQuery
from storage.record import LEVELS
from storage.search.expression import fields
from storage.search.language.words import SOURCES, method_spellings

DEFAULT_LIMIT: Final = 200
MAX_LIMIT: Final = 1000


class LogStats(ApiObject):
    """Numbers of entries by dimension. Those without a value count under `unknown`."""

    total: int
    byLevel: dict[str, int]
    byProject: dict[str, int]
    byContainer: dict[str, int]
    byService: dict[str, int]
    sampled: bool | UnsetType = UNSET


class LogError(ApiObject):
    statusCode: int
    error: str
    message: str


def error_body(refused: Refused) -> LogError:
    """Return an error in the form of the proxy-logs dialect."""
    return LogError(
        refused.status, refused.members.get("error", phrase(refused.status)), refused.detail
    )


ERRORS: Final = ErrorFormat(
    body=error_body,
    schema=LogError,
    unauthorized_status=403,
    unauthorized_detail="Logs token missing or invalid / SNI gate denied",
)


def read_halves(query: params.Query) -> Halves:
    """Read `kind`: a list of request, response and event.

    Raises:
        BadParameter: any other word.
    """
    kinds = params.read_choices(query, "kind", ENTRY_KINDS)
    if not kinds:
        return Halves()
    return Halves(request="request" in kinds, response="response" in kinds, event="event" in kinds)


def read_filter(query: params.Query, halves: Halves) -> Filter:
    """Read the filters of the list.

    Raises:
        BadParameter: a list that is too long, or an unknown level or source.
    """
    project = params.read_text(query, "projectId")
    container = params.read_text(query, "containerId")
    return Filter(
        kind=halves.record_kind,
        where=fields(
            project=() if project is None else (project,),
            container=() if container is None else (container,),
            service=params.read_list(query, "serviceName"),
            level=params.read_choices(query, "level", LEVELS),
            source=params.read_choices(query, "source", SOURCES),
            method=[
                spelling
                for method in params.read_list(query, "method")
                for spelling in method_spellings(method)
            ],
        ),
    )


def read_query(query: params.Query) -> EntryQuery:
    """Read a page request. `last` overrides limit and offset, `afterId` the offset.

    Raises:
        BadParameter: an invalid number, boolean or order.
    """
    halves = read_halves(query)
    limit = params.read_clamped(query, "limit", DEFAULT_LIMIT, MAX_LIMIT)
    offset = params.read_int(query, "offset", 0)
    after_id = params.read_optional_int(query, "afterId")
    if "last" in query:
        last = params.read_clamped(query, "last", 0, MAX_LIMIT)
    else:
        last = None
    return EntryQuery(
        filter=read_filter(query, halves),
        halves=halves,
        order=params.read_choice(query, "order", ("asc", "desc"), "asc"),
        limit=limit if last is None else last,
        offset=offset if last is None and after_id is None else 0,
        last=last,
        after_id=after_id,
    )


def read_wanted_bodies(query: params.Query) -> frozenset[str]:
    """Return the halves that include their bodies.

    Raises:
        BadParameter: an invalid boolean.
    """
    wanted = {
        "request": params.read_bool(query, "includeRequestBody"),
        "response": params.read_bool(query, "includeResponseBody"),
    }
    return frozenset(kind for kind, is_wanted in wanted.items() if is_wanted)


async def list_entries(request: web.Request) -> web.StreamResponse:
    """List log entries and count those that match; with fan-out, return a page of a snapshot."""
    services = services_of(request)
    storage = services.storage
    query, wanted = read_query(request.query), read_wanted_bodies(request.query)
    fanout = fanout_for(services, request.query, query)
    if fanout is not None:
        return await answer_snapshot(request, storage, fanout, query, wanted)

    max_seq = params.read_optional_int(request.query, "max_seq")
    is_possible = query.halves.uniform != 0
    if is_possible:
        frozen, count = await freeze_and_count(storage, query.filter, max_seq, CountQuery)
    else:
        frozen = freeze(query.filter, max_seq, await storage.last_seq())
        count = Count(0, 0)

    shown = LogEntryPage(
        entries=[],
        total=query.halves.total(count),
        limit=query.limit,
        offset=query.offset,
        totalCapped=true_or_unset(not count.exact),
    )
    if is_possible:
        page = await read_entry_page(storage, narrow(query, frozen, count))
        bodies = await read_bodies(storage, page.entries, wanted)
        shown.entries = await encode_rows(zip(page.entries, bodies, strict=True), show_entry)
        if not page.complete:
            shown.complete = False
            shown.nextAfterId = page.next_after_id

    return json_response(shown, headers={"X-Max-Seq": str(frozen.max_seq)})


def fanout_for(services: Services, query: params.Query, read: EntryQuery) -> SnapshotCursors | None:
    """Return the signer of snapshot cursors; None if the page is not one of a snapshot.

    It is if fan-out is on, an unrestricted admin asks, and no other paging parameter is used.

    Raises:
        BadParameter: a cursor together with another paging parameter.
    """
    if (
        services.fanout is None
        or services.principal.role != "admin"
        or not services.principal.is_unrestricted
    ):
        return None

    other = next(
        (name for name in ("afterId", "last") if name in query),
        "order" if read.order == "desc" else None,
    )
    if other is not None and query.get("cursor"):
        raise BadParameter(other, query[other], "nothing: it does not go with cursor")
    if other is not None or "max_seq" in query:
        return None

    return services.fanout


def narrow(query: EntryQuery, frozen: Frozen[Filter], count: Count) -> EntryQuery:
    """Bound a page by the log's end.

    If no event matches, events are excluded, so that an offset becomes a division.
    """
    halves = query.halves
    filter = frozen.filter
    if halves.per_exchange and count.exact and count.events == 0:
        halves = replace(halves, event=False)
        filter = replace(filter, kind="exchange")
    # No offset leads beyond the last entry of the log.
    return replace(
        query, halves=halves, filter=filter, offset=min(query.offset, 2 * frozen.max_seq)
    )


async def stream(request: web.Request) -> web.StreamResponse:
    """Stream log entries as they are stored; a client that resumes gets those it has missed."""
    services = services_of(request)
    halves = read_halves(request.query)
    wanted = {"request": halves.request, "response": halves.response, "event": halves.event}
    kinds = frozenset(kind for kind, is_wanted in wanted.items() if is_wanted)
    interest = Interest(encode_entries, read_filter(request.query, halves), kinds)
    return await serve_stream(request, services.streams, services.principal, interest)


async def stats(request: web.Request) -> web.Response:
    """Count log entries by level, project, container and service."""
    counted = await services_of(request).storage.read(StatsQuery())
    by_place = counted.by_project, counted.by_container, counted.by_service
    return json_response(
        LogStats(counted.total, counted.by_level, *by_place, true_or_unset(counted.sampled))
    )
