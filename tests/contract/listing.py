"""Looking at a whole store for the conformance suite."""

from dataclasses import replace

from storage.base import Storage
from storage.query import EVERYTHING, Filter, RecordQuery
from storage.record import Record

ALL = Filter(kind="all")


async def listed(store: Storage, filter: Filter = ALL) -> list[Record]:
    """Read all records of a filter, oldest first."""
    page = await store.select(RecordQuery(filter=filter, order="asc", limit=100_000))
    assert page.complete
    assert page.next_after is None
    return page.records


async def read_on(store: Storage, **changes: object) -> list[Record]:
    """Read all records page by page, following cursors: oldest first, and what is changed about the query."""
    query, found = replace(RecordQuery(filter=ALL, order="asc"), **changes), []  # type: ignore[arg-type]
    while True:
        page = await store.select(query)
        found += page.records
        if page.next_after is None:
            return found
        query = replace(query, after=page.next_after)


async def assert_untouched(store: Storage, records: int) -> None:
    """Check that a store holds so many records and no trace of more."""
    assert await store.last_seq() == records
    assert [record.seq for record in await listed(store)] == list(range(1, records + 1))
    counted = await store.count(ALL)
    assert counted.exchanges + counted.events == records
    assert (await store.stats(EVERYTHING)).total == 2 * counted.exchanges + counted.events
    assert (await store.info()).rows == records
