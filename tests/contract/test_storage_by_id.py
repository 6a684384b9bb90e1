"""Pages in the order of receipt, by id, over every backend: whatever order records were committed
in.
"""

import itertools
import random
from dataclasses import replace
from typing import Any

import pytest

from storage.base import Storage
from storage.query import Filter, Order, RecordQuery, Scope, matches
from storage.record import Record, new_id
from storage.relational.by_id import id_number
from storage.search.expression import Substring
from tests.contract.listing import of_store
from tests.storage.samples import START_US, make_batch, make_record
from tests.support.filters import make_filter

HOUR_US = 3_600_000_000
RECORDS = 300
PER_BATCH = 40
FILTERS = [
    Filter(),
    Filter(kind="all"),
    make_filter(projects=("a",)),
    make_filter(projects=("a", "b"), seq_until=200),
    make_filter(scope=Scope(projects=("a",)), is_llm=True),
    Filter(scope=Scope(containers=("a",)), kind="all", seq_after=50),
    make_filter(clients=("a",), routes=("b",)),
    make_filter(
        clients=("a",), routes=("b",), since_us=START_US + HOUR_US, until_us=START_US + 3 * HOUR_US
    ),
    Filter(since_us=START_US + 5 * HOUR_US),
    Filter(until_us=START_US, kind="all"),
    make_filter(projects=("unknown",)),
    make_filter(path_contains="7"),
    Filter(where=Substring("ITEMS/7")),
]


def make_log() -> list[Record]:
    """Make records whose ids are hours apart from the order they are committed in; always the same."""
    chance = random.Random(11)
    log = []
    for number in range(RECORDS):
        at_us = START_US + chance.choice((number * 1000, chance.randrange(6 * HOUR_US)))
        # A clock that was set back between the two readings: an id tells nothing about the time
        # beside it.
        id_us = at_us - chance.choice((0, 0, 0, HOUR_US))
        names: dict[str, Any] = {
            name: chance.choice(("a", "b", None))
            for name in ("project", "container", "client", "route_id", "provider")
        }
        log.append(
            make_record(
                id=new_id(id_us * 1000, 5, number),
                kind=chance.choice(("exchange", "exchange", "exchange", "event")),
                started_at_us=at_us,
                path=f"/items/{number}",
                **names,
            )
        )

    return log


async def fill(store: Storage) -> list[Record]:
    """Store the log; answers it in the order of ids."""
    log = make_log()
    for start in range(0, RECORDS, PER_BATCH):
        await store.commit(make_batch(*log[start : start + PER_BATCH]))
    return sorted(log, key=lambda record: record.id)


async def test_pages_follow_ids_offset_and_cursor(store: Storage) -> None:
    """Filter, offset, limit and cursor cut the list that is sorted by id, both ways; the last page
    has no cursor.

    Each filter and order is tried with every third of the pages, the next one with those beside
    them.
    """
    log = await fill(store)
    orders: tuple[Order, ...] = ("asc", "desc")
    stored = sorted(log, key=lambda record: record.seq)

    filters = [of_store(filter, stored) for filter in FILTERS]
    for number, (filter, order) in enumerate(itertools.product(filters, orders)):
        matching = [record for record in log if matches(filter, record)][
            :: 1 if order == "asc" else -1
        ]
        middle = id_number(matching[len(matching) // 2].id) if matching else 5

        pages = list(itertools.product((0, 3, 1000), (0, 2, 500), (None, middle, -1, 1 << 130)))
        for limit, offset, after in pages[number % 3 :: 3]:
            query = RecordQuery(
                filter=filter, by="id", order=order, limit=limit, offset=offset, after=after
            )
            rest = [
                record
                for record in matching
                if after is None
                or (
                    id_number(record.id) > after if order == "asc" else id_number(record.id) < after
                )
            ]
            page = await store.read(query)
            assert page.records == rest[offset : offset + limit], query
            assert page.complete
            has_more = 0 < limit < len(rest) - offset
            assert page.next_after == (id_number(page.records[-1].id) if has_more else None)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_cursors_lead_through_everything(store: Storage, order: Order) -> None:
    """Following the cursors meets every record once, in order."""
    log = await fill(store)
    query = RecordQuery(filter=Filter(kind="all"), by="id", order=order, limit=70)
    found: list[Record] = []

    while True:
        page = await store.read(query)
        found += page.records
        if page.next_after is None:
            break
        query = replace(query, after=page.next_after)

    assert found == log[:: 1 if order == "asc" else -1]


async def test_what_was_received_earlier_and_stored_later_is_on_its_page(store: Storage) -> None:
    """A record of an exchange that lasted comes where it was received, behind a cursor from before
    it was stored.
    """
    log = await fill(store)
    query = RecordQuery(filter=Filter(kind="all"), by="id", limit=10)
    first = await store.read(query)
    late = make_record(id=new_id(START_US * 1000, 6, 0), started_at_us=START_US)
    await store.commit(make_batch(late))
    assert first.next_after is not None
    rest = await store.read(replace(query, after=first.next_after, limit=1000))
    assert [record.id for record in rest.records] == sorted(
        (record.id for record in [*log[:-10], late]), reverse=True
    )


async def test_the_purge_floor_hides_what_is_older(store: Storage) -> None:
    """By start, whatever the id says; with and without the rows' deletion."""
    log = await fill(store)
    floor_us = (START_US // HOUR_US + 2) * HOUR_US
    await store.move_floors(floor_us, floor_us)
    expected = [record for record in reversed(log) if record.started_at_us >= floor_us]
    query = RecordQuery(filter=Filter(kind="all"), by="id", limit=1000)
    assert (await store.read(query)).records == expected
    while not (await store.purge(5000)).is_done:
        pass
    assert (await store.read(query)).records == expected
