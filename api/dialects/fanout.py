"""The fan-out of seed 001: the list across all tenants over a snapshot, paged by a signed cursor or streamed as lines.

Strategy: a snapshot is the newest `seq` when the first page was made; a cursor carries it with the place and the time,
and is signed together with the filters, so that it cannot be moved, prolonged or used for another list. It expires
after a time, or when retention has removed what would come next. Only an admin from whom nothing is hidden gets one.

The signature is HMAC-SHA256 (RFC 2104) over a fixed-length message; the secret is the store's, so sidecars share it.
"""

import hashlib
import hmac
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from aiohttp import web

from api.dialects.entry_bodies import read_bodies, show_entry
from api.dialects.entry_pages import EntryPage, EntryQuery, read_entry_page
from api.http.answers import encode_rows, json_answer
from api.http.cursor import from_text, to_text
from api.http.errors import BadParameter, Refused
from storage.base import Storage
from storage.errors import StorageUnavailable
from storage.query import Count, Filter, RecordQuery

NDJSON: Final = "application/x-ndjson"
PAGE_ENTRIES: Final = 500
"""Entries of one look into the store while lines are streamed."""
_PAYLOAD: Final = struct.Struct(">BQQQ")
_VERSION: Final = 1
_SIGNATURE_BYTES: Final = 32
_EXPIRED: Final = "snapshot_expired"
_ENCODER: Final = msgspec.json.Encoder()


class SnapshotExpired(Refused):
    """The snapshot of a cursor is over: too old, or overtaken by retention."""

    def __init__(self) -> None:
        super().__init__(410, "the snapshot of this cursor has expired, begin again without it", error=_EXPIRED)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in which snapshot a reader is."""

    snapshot_seq: int
    created_s: int
    """When the first page was made, Unix time."""
    after_id: int
    """Entry id, exclusive."""


@dataclass(slots=True, kw_only=True)
class Fanout:
    """Signs and reads cursors."""

    secret: bytes
    """The store's; empty as long as that has not come."""
    ttl_s: int = 900
    now_s: Callable[[], float] = time.time

    def encode(self, place: Place, binding: bytes) -> str:
        """Write a cursor that is good for the filters of `binding` only."""
        payload = _PAYLOAD.pack(_VERSION, place.snapshot_seq, place.created_s, place.after_id)
        return to_text(payload + self._sign(payload, binding))

    def decode(self, text: str, binding: bytes) -> Place:
        """Read a cursor back.

        Raises:
            BadParameter: it was not made here for these filters.
            SnapshotExpired: it is too old.
        """
        raw = from_text(text)
        payload, signature = raw[: _PAYLOAD.size], raw[_PAYLOAD.size :]
        if not hmac.compare_digest(signature, self._sign(payload, binding)) or len(payload) != _PAYLOAD.size:
            raise BadParameter("cursor", text, "the nextCursor of an answer to the same filters")
        _, snapshot_seq, created_s, after_id = _PAYLOAD.unpack(payload)
        place = Place(snapshot_seq, created_s, after_id)
        self.check_age(place)
        return place

    def check_age(self, place: Place) -> None:
        """Raise SnapshotExpired when a snapshot is too old."""
        if self.now_s() - place.created_s > self.ttl_s:
            raise SnapshotExpired

    def _sign(self, payload: bytes, binding: bytes) -> bytes:
        if not self.secret:
            raise StorageUnavailable("cursors are signed with the store's secret, and it has not come yet")
        return hmac.digest(self.secret, payload + binding, "sha256")


def binding_of(query: EntryQuery) -> bytes:
    """Hash what a cursor is bound to: the filters, and which halves of exchanges are wanted."""
    return hashlib.sha256(repr((query.filter, query.halves)).encode("utf-8", "backslashreplace")).digest()


async def answer_snapshot(
    request: web.Request,
    storage: Storage,
    fanout: Fanout,
    query: EntryQuery,
    wanted: frozenset[str],
) -> web.StreamResponse:
    """Answer one page of a snapshot with the cursor of the next, or the rest of it as lines.

    Raises:
        BadParameter: a cursor that was tampered with.
        SnapshotExpired: before the first byte.
    """
    binding = binding_of(query)
    cursor = request.query.get("cursor")
    if cursor:
        place = fanout.decode(cursor, binding)
        query = replace(query, offset=0)
    else:
        place = Place(await storage.last_seq(), int(fanout.now_s()), 0)
    reader = _SnapshotReader(storage, fanout, query, wanted, place, is_first=not cursor)
    if NDJSON in request.headers.get("Accept", ""):
        limit = query.limit if "limit" in request.query else None
        return await _answer_lines(request, reader, binding, limit)
    rows, is_last = await reader.read(query.limit)
    total = await storage.count(reader.filter) if query.halves.uniform != 0 else Count(0, 0)
    answer: dict[str, object] = {
        "entries": rows,
        "total": query.halves.total(total),
        "limit": query.limit,
        "offset": query.offset,
        "nextCursor": None if is_last else fanout.encode(reader.place, binding),
    }
    if not total.exact:
        answer["totalCapped"] = True
    return json_answer(answer, headers={"X-Max-Seq": str(place.snapshot_seq)})


class _SnapshotReader:
    """Reads a snapshot on from its place."""

    def __init__(
        self,
        storage: Storage,
        fanout: Fanout,
        query: EntryQuery,
        wanted: frozenset[str],
        place: Place,
        *,
        is_first: bool,
    ) -> None:
        self.place = place
        self.filter: Filter = replace(query.filter, seq_until=place.snapshot_seq)
        self._storage = storage
        self.fanout = fanout
        self._query = replace(query, filter=self.filter)
        self._wanted = wanted
        self._is_first = is_first

    async def read(self, limit: int) -> tuple[list[msgspec.Raw], bool]:
        """Read so many entries, and tell whether the snapshot ends with them.

        Raises:
            SnapshotExpired: it is too old, or retention removed what comes next.
        """
        self.fanout.check_age(self.place)
        if self._query.halves.uniform == 0:
            return [], True
        # One more than wanted tells whether there is a next page.
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
            offset = min(self._query.offset, 2 * self.place.snapshot_seq)
            return replace(self._query, limit=limit, offset=offset, after_id=None)
        return replace(self._query, limit=limit, offset=0, after_id=self.place.after_id)

    def _move(self, page: EntryPage, limit: int) -> None:
        """Go behind the last entry that is shown or, when the search was cut, behind what was searched."""
        if len(page.entries) > limit:
            after_id = page.entries[limit - 1].id if limit else self.place.after_id
        elif page.next_after_id is not None:
            after_id = page.next_after_id
        else:
            after_id = page.entries[-1].id if page.entries else self.place.after_id
        self.place = replace(self.place, after_id=after_id)

    async def _check_retention(self) -> None:
        oldest = await self._storage.select(RecordQuery(filter=Filter(kind="all"), order="asc", limit=1))
        kept_seq = oldest.records[0].seq if oldest.records else self.place.snapshot_seq + 1
        if kept_seq > self.place.after_id // 2 + 1 and self.place.after_id < 2 * self.place.snapshot_seq:
            raise SnapshotExpired


async def _answer_lines(
    request: web.Request, reader: _SnapshotReader, binding: bytes, limit: int | None
) -> web.StreamResponse:
    """Stream entries as lines, and a trailer that says how it ended."""
    left = limit
    fanout = reader.fanout
    # Read before the answer begins, so that what fails at once still is a status.
    rows, is_last = await reader.read(PAGE_ENTRIES if left is None else min(left, PAGE_ENTRIES))
    response = web.StreamResponse(headers={"Content-Type": NDJSON})
    await response.prepare(request)
    trailer: dict[str, object] = {"__trailer": True}
    try:
        while True:
            await response.write(b"".join(bytes(row) + b"\n" for row in rows))
            left = None if left is None else left - len(rows)
            if is_last or left == 0:
                break
            rows, is_last = await reader.read(PAGE_ENTRIES if left is None else min(left, PAGE_ENTRIES))
        trailer |= {"nextCursor": None if is_last else fanout.encode(reader.place, binding), "status": 200}
    except SnapshotExpired:
        trailer |= {"error": _EXPIRED, "status": 410}
    except (StorageUnavailable, Refused):
        trailer |= {"error": "unavailable", "status": 503, "nextCursor": fanout.encode(reader.place, binding)}
    await response.write(_ENCODER.encode(trailer) + b"\n")
    return response
