"""Pages of entries: entry numbers mapped to ranges of `seq`, so that nothing before a page is read.

If all matching records make the same number of entries, an offset is a division. If exchanges make
two and events one, entry `o` belongs to the least record `r` with `r = (o + events before r) // 2`.
It is found by counting events before a guess and guessing again: the guess only rises, and each
step is at most half of the previous one, so few counts suffice.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from api.dialects.entries import Halves, PendingEntry, expand
from api.http.paging import out_of_time, read_whole_page
from storage.base import Storage
from storage.query import CountQuery, Filter, Order, RecordQuery

_MAX_GUESSES: Final = 64
"""Limit of guesses: the bits of an offset, as each guess at least halves the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryQuery:
    """A page of entries. `last` takes precedence over `after_id`, and `after_id` over `offset`."""

    filter: Filter = field(default_factory=Filter)
    halves: Halves = field(default_factory=Halves)
    order: Order = "asc"
    limit: int
    offset: int = 0
    last: int | None = None
    """Number of the newest entries, in rising order. Bounded by `after_id` if both are given."""
    after_id: int | None = None
    """Entry id after which the page begins, in rising order."""


@dataclass(frozen=True, slots=True)
class EntryPage:
    """Entries in the requested order."""

    entries: list[PendingEntry]
    complete: bool = True
    """False if the time budget ended the search early."""
    next_after_id: int | None = None
    """Id after which a rising search that ended early continues; else None."""


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
    """Bound a filter to records with entries above an id.

    The first record may still have an entry at or below it.
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
    """The start of a page."""

    after: int | None = None
    """Keyset cursor just before the first record."""
    offset: int = 0
    """Number of records to skip."""
    skip: int = 0
    """Number of the first record's entries that belong to the previous page: 0 or 1."""


async def locate(storage: Storage, query: EntryQuery) -> Start | None:
    """Find the record at an entry offset; None if the log ends before it.

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
    """Return the number of events before a record, in the query's order."""
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
