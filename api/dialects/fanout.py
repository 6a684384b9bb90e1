"""The fan-out of the proxy logs: a list across all tenants over a snapshot, in pages or as lines.

A page carries the signed cursor of the next (`api/access/snapshot_cursor.py`), bound to the
filters. Only an unrestricted admin gets one.
"""

import hashlib
from dataclasses import replace
from typing import Final

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from api.access.snapshot_cursor import EXPIRED, SnapshotCursors, SnapshotExpired, SnapshotPosition
from api.dialects.entries import LogEntry, LogEntryPage, read_bodies, show_entry
from api.dialects.entry_pages import EntryPage, EntryQuery, read_entry_page
from api.http.accept import prefers
from api.http.compression import compress_stream
from api.http.errors import Refused
from api.http.paging import first_kept_seq
from api.http.responses import encode_rows, json_response, true_or_unset
from storage.base import Storage
from storage.errors import StorageUnavailable
from storage.query import Count, CountQuery, Filter

NDJSON: Final = "application/x-ndjson"
PAGE_ENTRIES: Final = 500
"""Entries read from the store at once while lines are streamed."""
_ENCODER: Final = msgspec.json.Encoder()


def binding_of(query: EntryQuery) -> bytes:
    """Return a hash of everything that a cursor is bound to: the filters and the requested halves."""
    return hashlib.sha256(
        repr((query.filter, query.halves)).encode("utf-8", "backslashreplace")
    ).digest()


async def answer_snapshot(
    request: web.Request,
    storage: Storage,
    cursors: SnapshotCursors,
    query: EntryQuery,
    wanted: frozenset[str],
) -> web.StreamResponse:
    """Return one page of a snapshot with the cursor of the next, or the rest of it as lines.

    Raises:
        BadParameter: a cursor that was tampered with.
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
        if "limit" in request.query:
            limit = query.limit
        else:
            limit = None
        return await _answer_lines(request, reader, binding, limit)

    rows, is_last = await reader.read(query.limit)
    if query.halves.uniform != 0:
        total = await storage.read(CountQuery(reader.filter))
    else:
        total = Count(0, 0)
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
    """Reads a snapshot from a position on."""

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
        """Return up to `limit` entries, and True if the snapshot ends with them.

        Raises:
            SnapshotExpired: it is too old, or retention removed the next entries.
        """
        self.cursors.check_age(self.position)
        if self._query.halves.uniform == 0:
            return [], True

        # An additional entry shows that there is a next page.
        page = await read_entry_page(self._storage, self._page(limit + 1))
        if not self._is_first:
            # Checked after the read, since retention may remove records during it.
            await self._check_retention()
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
        """Advance past the last shown entry, or past the searched part if the search was cut."""
        if len(page.entries) > limit:
            if limit:
                after_id = page.entries[limit - 1].id
            else:
                after_id = self.position.after_id
        elif page.next_after_id is not None:
            after_id = page.next_after_id
        elif page.entries:
            after_id = page.entries[-1].id
        else:
            after_id = self.position.after_id

        self.position = replace(self.position, after_id=after_id)

    async def _check_retention(self) -> None:
        kept_seq = await first_kept_seq(self._storage, self.position.snapshot_seq)
        if (
            kept_seq > self.position.after_id // 2 + 1
            and self.position.after_id < 2 * self.position.snapshot_seq
        ):
            raise SnapshotExpired


def _next_cursor(
    reader: _SnapshotReader, binding: bytes, limit: int | None, *, is_last: bool
) -> str | UnsetType | None:
    """Return the cursor of the next page; None after the last one, UNSET if no page was requested
    (`limit=0`).

    An endless cursor would make clients that follow cursors loop forever.
    """
    if limit == 0:
        return UNSET
    if is_last:
        return None
    return reader.cursors.encode(reader.position, binding)


async def _answer_lines(
    request: web.Request, reader: _SnapshotReader, binding: bytes, limit: int | None
) -> web.StreamResponse:
    """Stream entries as lines, and a trailer with the final status."""
    left = limit
    cursors = reader.cursors
    # Read before the response begins, so that an immediate failure still becomes a status.
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

            rows, is_last = await reader.read(
                PAGE_ENTRIES if left is None else min(left, PAGE_ENTRIES)
            )

        cursor = _next_cursor(reader, binding, limit, is_last=is_last)
        trailer |= {"status": 200} if cursor is UNSET else {"nextCursor": cursor, "status": 200}
    except SnapshotExpired:
        trailer |= {"error": EXPIRED, "status": 410}
    except (StorageUnavailable, Refused):
        trailer |= {
            "error": "unavailable",
            "status": 503,
            "nextCursor": cursors.encode(reader.position, binding),
        }

    await response.write(_ENCODER.encode(trailer) + b"\n")
    return response
