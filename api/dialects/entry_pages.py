"""Pages of entries: arithmetic on entry numbers mapped to ranges of `seq`, so that nothing before a
page is read.

Where all matching records make equally many entries, an offset is a division. Where exchanges make
two and events one, entry `o` stands at the least record `r` with `r = (o + events before r) // 2`.
It is found by counting events before a guess and guessing again: the guess only rises, each step is
at most half of the one before, so few counts suffice.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from api.dialects.entries import Halves, PendingEntry, expand
from api.http.paging import out_of_time, read_whole_page
from storage.base import Storage
from storage.query import CountQuery, Filter, Order, RecordQuery

_MAX_GUESSES: Final = 64
"""Bits of an offset: each guess at least halves what is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryQuery:
    """A page of entries. `last` beats `after_id`'s place, `after_id` beats `offset`."""

    filter: Filter = field(default_factory=Filter)
    halves: Halves = field(default_factory=Halves)
    order: Order = "asc"
    limit: int
    offset: int = 0
    last: int | None = None
    """The newest entries, rising; bounded by `after_id` when both are given."""
    after_id: int | None = None
    """Exclusive, rising."""


@dataclass(frozen=True, slots=True)
class EntryPage:
    """Entries in the order asked for."""

    entries: list[PendingEntry]
    complete: bool = True
    """False when the time budget ended the search early."""
    next_after_id: int | None = None
    """Where a rising search that was ended early goes on; else None."""


async def read_entry_page(storage: Storage, query: EntryQuery) -> EntryPage:
    """Read one page of entries.

    Raises:
        Refused: 503, an offset could not be skipped within the time budget.
    """
    if query.last is not None:
        return await _read_last(storage, query, query.last)
    if query.after_id is not None:
        return await _read_after(storage, query, query.after_id)
    return await _read_offset(storage, query)


def behind(filter: Filter, after_id: int) -> Filter:
    """Bound a filter to records that have entries above an id; the first one may still have one at
    or below it.
    """
    seq_after = (after_id - 1) // 2 if after_id % 2 else after_id // 2
    return replace(filter, seq_after=max(seq_after, filter.seq_after or 0))


async def _read_last(storage: Storage, query: EntryQuery, last: int) -> EntryPage:
    after_id = query.after_id or 0
    filter = behind(query.filter, after_id) if after_id else query.filter
    page = await _gather(storage, replace(query, filter=filter, order="desc"), last, None)
    entries = [entry for entry in page.entries if entry.id > after_id]
    return replace(page, entries=entries[:last][::-1])


async def _read_after(storage: Storage, query: EntryQuery, after_id: int) -> EntryPage:
    if query.limit == 0:
        return EntryPage([])
    rising = replace(query, filter=behind(query.filter, after_id), order="asc")
    page = await _gather(storage, rising, query.limit + 1, None)
    entries = [entry for entry in page.entries if entry.id > after_id]
    return replace(page, entries=entries[: query.limit])


async def _read_offset(storage: Storage, query: EntryQuery) -> EntryPage:
    if query.limit == 0:
        return EntryPage([])
    start = Start() if query.offset == 0 else await locate(storage, query)
    if start is None:
        return EntryPage([])
    page = await _gather(storage, query, query.limit + start.skip, start)
    return replace(page, entries=page.entries[start.skip : start.skip + query.limit])


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where a page begins."""

    after: int | None = None
    """Keyset cursor just before the first record."""
    offset: int = 0
    """Records to skip."""
    skip: int = 0
    """Entries of the first record that belong to the page before: 0 or 1."""


async def locate(storage: Storage, query: EntryQuery) -> Start | None:
    """Find the record at an entry offset; None when the log ends before it.

    Raises:
        Refused: 503, the time budget ended the search.
    """
    uniform = query.halves.uniform
    if uniform is not None:
        record_offset, skip = divmod(query.offset, uniform)
        return Start(offset=record_offset, skip=skip)

    events = 0
    for _ in range(_MAX_GUESSES):
        record_offset = (query.offset + events) // 2
        seq = await _seq_at(storage, query, record_offset)
        if seq is None:
            return None

        before = await _events_before(storage, query, seq)
        if before == events:
            after = seq - 1 if query.order == "asc" else seq + 1
            return Start(after=after, skip=query.offset - (2 * record_offset - events))

        events = before

    raise out_of_time()


async def _seq_at(storage: Storage, query: EntryQuery, record_offset: int) -> int | None:
    page = await read_whole_page(
        storage, RecordQuery(filter=query.filter, order=query.order, limit=1, offset=record_offset)
    )
    if page.records:
        return page.records[0].seq
    if not page.complete:
        raise out_of_time()

    return None


async def _events_before(storage: Storage, query: EntryQuery, seq: int) -> int:
    """Count the events a reader in the query's order meets before a record."""
    events = replace(query.filter, kind="event")
    if query.order == "asc":
        bounded = replace(events, seq_until=seq - 1)
    else:
        bounded = replace(events, seq_after=seq)
    count = await storage.read(CountQuery(bounded))
    if not count.exact:
        raise out_of_time()

    return count.events


async def _gather(
    storage: Storage, query: EntryQuery, needed: int, start: Start | None
) -> EntryPage:
    """Read records until they make `needed` entries, the filter is exhausted, or the time is up."""
    entries: list[PendingEntry] = []
    after, offset = (None, 0) if start is None else (start.after, start.offset)
    per_record = query.halves.uniform or 2

    while needed > len(entries):
        limit = -(-(needed - len(entries)) // per_record)
        page = await read_whole_page(
            storage,
            RecordQuery(
                filter=query.filter, order=query.order, limit=limit, offset=offset, after=after
            ),
        )
        entries += expand(page.records, query.halves, query.order)
        after = page.next_after
        offset = 0
        if after is None:
            break
        if not page.complete and len(page.records) < limit:
            return EntryPage(
                entries, complete=False, next_after_id=2 * after if query.order == "asc" else None
            )

    return EntryPage(entries)
