"""Looking at a whole store for the conformance suite."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from storage.base import Storage
from storage.query import CountQuery, Filter, RecordQuery, StatsQuery
from storage.record import Record

ALL = Filter(kind="all")


async def listed(store: Storage, filter: Filter = ALL) -> list[Record]:
    """Read all records of a filter, oldest first."""
    page = await store.read(RecordQuery(filter=filter, order="asc", limit=100_000))
    assert page.complete
    assert page.next_after is None
    return page.records


async def read_on(store: Storage, **changes: object) -> list[Record]:
    """Read all records page by page, following cursors: oldest first, and what is changed about the
    query.
    """
    query, found = replace(RecordQuery(filter=ALL, order="asc"), **changes), []  # type: ignore[arg-type]
    while True:
        page = await store.read(query)
        found += page.records
        if page.next_after is None:
            return found
        query = replace(query, after=page.next_after)


async def settled(store: Storage) -> int:
    """Wait until the stable prefix has all that was committed; answers its end."""
    newest = (await store.info()).last_seq
    async with asyncio.timeout(60.0):
        while (end := await store.last_seq()) < newest:  # noqa: ASYNC110 -- stores only tell when asked
            await asyncio.sleep(0.02)
    return end


def of_store(filter: Filter, records: Sequence[Record]) -> Filter:
    """Make of bounds that number the records of a store, from 1, those on `seq`."""

    def seq(number: int | None) -> int | None:
        if number is None or number <= 0:
            return number
        known = min(number, len(records))
        return records[known - 1].seq + number - known

    return replace(filter, seq_after=seq(filter.seq_after), seq_until=seq(filter.seq_until))


async def assert_untouched(store: Storage, records: int) -> None:
    """Check that a store holds so many records and no trace of more; dense numbers but where
    writers are many.
    """
    seqs = [record.seq for record in await listed(store)]
    assert len(seqs) == records
    assert seqs == sorted(set(seqs))
    end = await settled(store)
    assert end >= max(seqs, default=0)
    if not store.has_late_prefix:
        assert seqs == list(range(1, end + 1))
    counted = await store.read(CountQuery(ALL))
    assert counted.exchanges + counted.events == records
    assert (await store.read(StatsQuery())).total == 2 * counted.exchanges + counted.events
    assert (await store.info()).rows == records
