"""Proxy logs: `GET /api/proxy-logs/_logs`, `/_logs/stats` and `/_logs/stream`; see `api/dialects/README.md`.

Reads parameters and returns pages; entries are made in `entries.py`, the page arithmetic is in `entry_pages.py`. The
fan-out lists all tenants over a snapshot, in pages or streamed as lines, for an admin from whom nothing is hidden: a
page carries the signed cursor of the next, bound to the filters. Where it is off, `cursor` is ignored.
"""

import hashlib
from dataclasses import replace
from typing import Final

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from api.access.snapshot_cursor import EXPIRED, SnapshotCursors, SnapshotExpired, SnapshotPosition
from api.dialects.entries import ENTRY_KINDS, Halves, LogEntry, LogEntryPage, encode_entries, read_bodies, show_entry
from api.dialects.entry_pages import EntryPage, EntryQuery, read_entry_page
from api.http import params
from api.http.compression import compress_stream, prefers
from api.http.errors import BadParameter, ErrorFormat, Refused, phrase
from api.http.paging import Frozen, freeze, freeze_and_count
from api.http.responses import ApiObject, encode_rows, json_response, true_or_unset
from api.services import Services, services_of
from api.stream.streams import serve_stream
from api.stream.tail_ring import Interest
from storage.base import Storage
from storage.errors import StorageUnavailable
from storage.query import Count, CountQuery, Filter, RecordQuery, StatsQuery
from storage.record import LEVELS
from storage.search.expression import fields
from storage.search.language.words import SOURCES

NDJSON: Final = "application/x-ndjson"
PAGE_ENTRIES: Final = 500
"""Entries of one look into the store while lines are streamed."""
_ENCODER: Final = msgspec.json.Encoder()


def binding_of(query: EntryQuery) -> bytes:
    """Return a hash of what a cursor is bound to: the filters, and the requested halves of exchanges."""
    return hashlib.sha256(repr((query.filter, query.halves)).encode("utf-8", "backslashreplace")).digest()


async def answer_snapshot(
    request: web.Request, storage: Storage, cursors: SnapshotCursors, query: EntryQuery, wanted: frozenset[str]
) -> web.StreamResponse:
    """Return one page of a snapshot with the cursor of the next, or the rest of it as lines.

    Raises:
        SnapshotExpired: before the first byte.
    """
    binding = binding_of(query)
    cursor = request.query.get("cursor")
    if cursor:
        position = cursors.decode(cursor, binding)
        query = replace(query, offset=0)
    else:
        position = SnapshotPosition(await storage.last_seq(), int(cursors.now_s()), 0)
    reader = _SnapshotReader(storage, cursors, query, wanted, position, is_first=not cursor)
    if prefers(request.headers.get("Accept", ""), NDJSON, "application/json"):
        limit = query.limit if "limit" in request.query else None
        return await _answer_lines(request, reader, binding, limit)
    rows, is_last = await reader.read(query.limit)
    total = await storage.read(CountQuery(reader.filter)) if query.halves.uniform != 0 else Count(0, 0)
    shown = LogEntryPage(
        entries=rows,
        total=query.halves.total(total),
        limit=query.limit,
        offset=query.offset,
        nextCursor=_next_cursor(reader, binding, query.limit, is_last=is_last),
        totalCapped=true_or_unset(not total.exact),
    )
    return json_response(shown, headers={"X-Max-Seq": str(position.snapshot_seq)})


class _SnapshotReader:
    """Reads a snapshot on from its position."""

    def __init__(
        self,
        storage: Storage,
        cursors: SnapshotCursors,
        query: EntryQuery,
        wanted: frozenset[str],
        position: SnapshotPosition,
        *,
        is_first: bool,
    ) -> None:
        self.position = position
        self.filter: Filter = replace(query.filter, seq_until=position.snapshot_seq)
        self._storage = storage
        self.cursors = cursors
        self._query = replace(query, filter=self.filter)
        self._wanted = wanted
        self._is_first = is_first

    async def read(self, limit: int) -> tuple[list[LogEntry], bool]:
        """Return so many entries, and whether the snapshot ends with them.

        Raises:
            SnapshotExpired: it is too old, or retention removed what comes next.
        """
        self.cursors.check_age(self.position)
        if self._query.halves.uniform == 0:
            return [], True
        # One row more than wanted shows whether there is a next page.
        page = await read_entry_page(self._storage, self._page(limit + 1))
        if not self._is_first:
            await self._check_retention()  # behind the read: what was there before it may have gone during it
        entries = page.entries[:limit]
        is_last = page.complete and len(page.entries) <= limit
        self._move(page, limit)
        self._is_first = False
        bodies = await read_bodies(self._storage, entries, self._wanted)
        return await encode_rows(zip(entries, bodies, strict=True), show_entry), is_last

    def _page(self, limit: int) -> EntryQuery:
        if self._is_first and self._query.offset:
            offset = min(self._query.offset, 2 * self.position.snapshot_seq)
            return replace(self._query, limit=limit, offset=offset, after_id=None)
        return replace(self._query, limit=limit, offset=0, after_id=self.position.after_id)

    def _move(self, page: EntryPage, limit: int) -> None:
        """Go behind the last entry that is shown or, when the search was cut, behind what was searched."""
        if len(page.entries) > limit:
            after_id = page.entries[limit - 1].id if limit else self.position.after_id
        elif page.next_after_id is not None:
            after_id = page.next_after_id
        else:
            after_id = page.entries[-1].id if page.entries else self.position.after_id
        self.position = replace(self.position, after_id=after_id)

    async def _check_retention(self) -> None:
        oldest = await self._storage.read(RecordQuery(filter=Filter(kind="all"), order="asc", limit=1))
        kept_seq = oldest.records[0].seq if oldest.records else self.position.snapshot_seq + 1
        if kept_seq > self.position.after_id // 2 + 1 and self.position.after_id < 2 * self.position.snapshot_seq:
            raise SnapshotExpired


def _next_cursor(
    reader: _SnapshotReader, binding: bytes, limit: int | None, *, is_last: bool
) -> str | UnsetType | None:
    """Return the cursor of the next page, None behind the last; none at all where no page was asked for (`limit=0`).

    A cursor that leads nowhere would send clients that follow cursors into an endless loop.
    """
    if limit == 0:
        return UNSET
    return None if is_last else reader.cursors.encode(reader.position, binding)


async def _answer_lines(
    request: web.Request, reader: _SnapshotReader, binding: bytes, limit: int | None
) -> web.StreamResponse:
    """Stream entries as lines, and a trailer that says how it ended."""
    left = limit
    cursors = reader.cursors
    # Read before the answer begins, so that what fails at once still is a status.
    rows, is_last = await reader.read(PAGE_ENTRIES if left is None else min(left, PAGE_ENTRIES))
    response = web.StreamResponse(headers={"Content-Type": NDJSON})
    compress_stream(request, response)
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    trailer: dict[str, object] = {"__trailer": True}
    try:
        while True:
            await response.write(_ENCODER.encode_lines(rows))
            left = None if left is None else left - len(rows)
            if is_last or left == 0:
                break
            rows, is_last = await reader.read(PAGE_ENTRIES if left is None else min(left, PAGE_ENTRIES))
        cursor = _next_cursor(reader, binding, limit, is_last=is_last)
        trailer |= {"status": 200} if cursor is UNSET else {"nextCursor": cursor, "status": 200}
    except SnapshotExpired:
        trailer |= {"error": EXPIRED, "status": 410}
    except (StorageUnavailable, Refused):
        trailer |= {"error": "unavailable", "status": 503, "nextCursor": cursors.encode(reader.position, binding)}
    await response.write(_ENCODER.encode(trailer) + b"\n")
    return response


DEFAULT_LIMIT: Final = 200
MAX_LIMIT: Final = 1000


class LogStats(ApiObject):
    """Entries by dimension; those without a value count under `unknown`."""

    total: int
    byLevel: dict[str, int]
    byProject: dict[str, int]
    byContainer: dict[str, int]
    byService: dict[str, int]


class LogError(ApiObject):
    statusCode: int
    error: str
    message: str


def error_body(refused: Refused) -> LogError:
    """Word an error as the document does."""
    return LogError(refused.status, refused.members.get("error", phrase(refused.status)), refused.detail)


ERRORS: Final = ErrorFormat(
    body=error_body,
    schema=LogError,
    unauthorized_status=403,
    unauthorized_detail="Logs token missing or invalid / SNI gate denied",
)


def read_halves(query: params.Query) -> Halves:
    """Read `kind`: a list of request, response and event."""
    kinds = params.read_choices(query, "kind", ENTRY_KINDS)
    if not kinds:
        return Halves()
    return Halves(request="request" in kinds, response="response" in kinds, event="event" in kinds)


def read_filter(query: params.Query, halves: Halves) -> Filter:
    """Read the filters of the list."""
    project, container = params.read_text(query, "projectId"), params.read_text(query, "containerId")
    return Filter(
        kind=halves.record_kind,
        where=fields(
            project=() if project is None else (project,),
            container=() if container is None else (container,),
            service=params.read_list(query, "serviceName"),
            level=params.read_choices(query, "level", LEVELS),
            source=params.read_choices(query, "source", SOURCES),
            method=[method.upper() for method in params.read_list(query, "method")],
        ),
    )


def read_query(query: params.Query) -> EntryQuery:
    """Read a page request; `last` overrides limit and offset, `afterId` the offset."""
    halves = read_halves(query)
    limit = params.read_clamped(query, "limit", DEFAULT_LIMIT, MAX_LIMIT)
    offset = params.read_int(query, "offset", 0)
    after_id = params.read_optional_int(query, "afterId")
    last = params.read_clamped(query, "last", 0, MAX_LIMIT) if "last" in query else None
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
    """Read which halves include their bodies."""
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
    max_seq, is_possible = params.read_optional_int(request.query, "max_seq"), query.halves.uniform != 0
    if is_possible:
        frozen, count = await freeze_and_count(storage, query.filter, max_seq, CountQuery)
    else:
        frozen, count = freeze(query.filter, max_seq, await storage.last_seq()), Count(0, 0)
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
            shown.complete, shown.nextAfterId = False, page.next_after_id
    return json_response(shown, headers={"X-Max-Seq": str(frozen.max_seq)})


def fanout_for(services: Services, query: params.Query, read: EntryQuery) -> SnapshotCursors | None:
    """Return the signer where a page is one of a snapshot: fan-out is on, an admin asks, and cursors apply."""
    if services.fanout is None or services.principal.role != "admin" or not services.principal.is_unrestricted:
        return None
    other = next((name for name in ("afterId", "last") if name in query), "order" if read.order == "desc" else None)
    if other is not None and query.get("cursor"):
        raise BadParameter(other, query[other], "nothing: it does not go with cursor")
    return None if other is not None or "max_seq" in query else services.fanout


def narrow(query: EntryQuery, frozen: Frozen[Filter], count: Count) -> EntryQuery:
    """Bound a page by the log's end; where no event matches, ask for none, so that an offset is a mere division."""
    halves, filter = query.halves, frozen.filter
    if halves.per_exchange and count.exact and count.events == 0:
        halves, filter = replace(halves, event=False), replace(filter, kind="exchange")
    # No offset leads further than the last entry of the log.
    return replace(query, halves=halves, filter=filter, offset=min(query.offset, 2 * frozen.max_seq))


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
    return json_response(
        LogStats(counted.total, counted.by_level, counted.by_project, counted.by_container, counted.by_service)
    )
