"""Retention of every backend: what is below the floor is in no answer, before and after it is
deleted.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from storage.aggregates import FACETS
from storage.base import Storage
from storage.query import (
    CountQuery,
    FacetQuery,
    Filter,
    HistogramQuery,
    RecordQuery,
    Scope,
    StatsQuery,
    SummaryQuery,
    TopQuery,
    matches,
)
from storage.record import Batch, Entry, Record, now_us
from storage.relational.sql import MAX_INT
from storage.relational.time_ranges import HOUR_US
from tests.contract.backends import BACKENDS, Backend
from tests.contract.listing import settled
from tests.contract.test_storage_reading import make_dataset
from tests.storage.samples import START_US, make_payload, make_record
from tests.support import memory_aggregates as model
from tests.support.filters import make_filter
from tests.support.long import long

HOUR = START_US // HOUR_US * HOUR_US
ALL = Filter(kind="all")
HOURS = 30


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
async def test_a_server_tells_the_time(backend: Backend, tmp_path: Path) -> None:
    """One clock for all sidecars that share it; a store of one sidecar has none of its own."""
    async with await backend.open(tmp_path) as store:
        told = (await store.retention()).server_now_us
        assert told is None or abs(told - now_us()) < 60_000_000
        assert (told is None) == (backend.kind in ("model", "memory", "sqlite"))


async def fill(store: Storage) -> list[Record]:
    """Commit records over 30 hours, about in order of time but not quite, each with a payload."""
    records = make_dataset()
    for number, record in enumerate(records):
        record.started_at_us = (
            HOUR + number * HOURS * HOUR_US // len(records) + (number * 7919) % (2 * HOUR_US)
        )

    for start in range(0, len(records), 48):
        part = records[start : start + 48]
        await store.commit(
            Batch("sidecar-1", [Entry(record, make_payload(record.seq)) for record in part])
        )

    return records


async def check(store: Storage, records: list[Record], floor_us: int) -> None:
    """Compare every kind of answer with that of the records above the floor."""
    left = [record for record in records if record.started_at_us >= floor_us]
    for filter in (
        ALL,
        make_filter(levels=("error",)),
        make_filter(statuses=(200, 404, 500)),
        make_filter(hosts=("a", "b"), error_types=("a", "", "A"), kind="all"),
        make_filter(keyed=True, since_us=HOUR + 3, until_us=HOUR + 28 * HOUR_US + 3),
        make_filter(models=("a", "b")),
        make_filter(scope=Scope(projects=("a", "b")), path_contains="items"),
        Filter(since_us=HOUR, until_us=HOUR + 20 * HOUR_US, kind="all"),
        make_filter(since_us=HOUR + 3, until_us=HOUR + 28 * HOUR_US + 3, services=("a",)),
    ):
        expected = [record for record in left if matches(filter, record)]
        page = await store.read(RecordQuery(filter=filter, order="asc", limit=1000))
        assert page.records == expected
        counted = await store.read(CountQuery(filter))
        assert (counted.exchanges + counted.events, counted.exact) == (len(expected), True)
        assert await store.read(FacetQuery(filter, tuple(FACETS))) == model.facets(
            left, filter, tuple(FACETS)
        )
        for by in ("endpoint", "status"):
            assert await store.read(TopQuery(filter, by)) == model.top(left, filter, by)
        summary = replace(await store.read(SummaryQuery(filter)), since_us=None, until_us=None)
        assert summary == replace(model.summary(left, filter), since_us=None, until_us=None)
        for steps in (1, 30):
            found = await store.read(HistogramQuery(filter, HOUR, HOUR + HOURS * HOUR_US, steps))
            assert found == model.histogram(left, filter, HOUR, HOUR + HOURS * HOUR_US, steps)

    stats = await store.read(StatsQuery())
    assert stats.total == sum(1 if record.kind == "event" else 2 for record in left)
    assert (await store.info()).rows == len(left)
    assert await settled(store) >= max([record.seq for record in records], default=0)
    seqs = [record.seq for record in records]
    assert set(await store.payloads(seqs)) == {record.seq for record in left}
    for record in records[::17]:
        assert await store.get(record.id) == (record if record in left else None)


@pytest.mark.parametrize("hours", [long(0), long(1), 5, long(24), long(27), long(40)])
async def test_a_floor_hides_at_once_and_deletion_changes_nothing(
    store: Storage, hours: int
) -> None:
    """Every answer is the same after the floor was raised, between slices, and when everything is
    deleted.
    """
    records = await fill(store)
    floor_us = HOUR + hours * HOUR_US
    await store.move_floors(floor_us, 0)
    await check(store, records, floor_us)
    rows = 0
    slices = 0

    while not (purged := await store.purge(10)).is_done:
        assert purged.rows <= 10
        rows += purged.rows
        slices += 1
        if slices == 3:
            await check(store, records, floor_us)

    assert rows == sum(record.started_at_us < floor_us for record in records)
    await check(store, records, floor_us)
    state = await store.retention()
    assert state.purge_floor_us == floor_us
    assert state.lag_s == 0
    left = [record.seq for record in records if record.started_at_us >= floor_us]
    gone = [record.seq for record in records if not left or record.seq < min(left)]
    assert max(gone, default=0) <= state.purged_through_seq < min(left, default=MAX_INT)


async def test_floors_only_rise(store: Storage) -> None:
    """A lower floor than before changes nothing, and that of bodies is never below that of rows."""
    await store.move_floors(5 * HOUR_US, 3 * HOUR_US)
    await store.move_floors(4 * HOUR_US, 4 * HOUR_US)
    state = await store.retention()
    assert (state.purge_floor_us, state.body_floor_us) == (5 * HOUR_US, 5 * HOUR_US)


async def test_floors_in_the_future_are_undone(store: Storage) -> None:
    """What was not deleted yet is visible again in every answer, and what comes; a higher floor
    changes nothing.
    """
    old = make_record(started_at_us=HOUR)
    new = make_record(started_at_us=HOUR + HOUR_US)
    await store.commit(Batch("sidecar-1", [Entry(old, make_payload(1))]))
    await store.move_floors(HOUR + 900 * HOUR_US, 0)
    await store.move_floors(HOUR + 950 * HOUR_US, 0, down=True)
    assert (await store.read(CountQuery(ALL))).exchanges == 0
    await store.move_floors(HOUR, HOUR + HOUR_US, down=True)
    await store.commit(Batch("sidecar-1", [Entry(new, make_payload(2))]))
    await check(store, [old, new], HOUR)
    state = await store.retention()
    assert (state.purge_floor_us, state.body_floor_us) == (HOUR, HOUR + HOUR_US)


async def test_bodies_may_go_before_rows(store: Storage) -> None:
    """Below the floor of bodies, heads are there and bodies are null, before and after the purge."""
    old = make_record(started_at_us=HOUR)
    new = make_record(started_at_us=HOUR + HOUR_US)
    await store.commit(
        Batch("sidecar-1", [Entry(old, make_payload(1)), Entry(new, make_payload(2))])
    )
    await store.move_floors(0, HOUR + HOUR_US)

    for _ in range(2):
        found = await store.payloads([old.seq, new.seq])
        assert found[old.seq].request_head == make_payload(1).request_head
        assert (found[old.seq].request_body, found[old.seq].response_body) == (None, None)
        assert found[new.seq] == make_payload(2)
        while not (await store.purge(100)).is_done:
            pass


async def test_late_records_of_a_purged_hour_stay_invisible(store: Storage) -> None:
    """A record that started below the floor is stored, counts in `last_seq`, and is in no answer."""
    await store.move_floors(HOUR + HOUR_US, 0)
    late = make_record(started_at_us=HOUR)
    new = make_record(started_at_us=HOUR + HOUR_US)
    await store.commit(
        Batch("sidecar-1", [Entry(late, make_payload()), Entry(new, make_payload())])
    )
    await check(store, [late, new], HOUR + HOUR_US)
    assert (await store.purge(100)).rows == 1
    await check(store, [late, new], HOUR + HOUR_US)


async def test_storing_goes_on_after_everything_was_purged(store: Storage) -> None:
    """Numbers go on where they were when the store has been emptied."""
    first = make_record(started_at_us=HOUR)
    second = make_record(started_at_us=HOUR + 9 * HOUR_US)
    await store.commit(Batch("sidecar-1", [Entry(first)]))
    await store.move_floors(HOUR + HOUR_US, 0)
    while not (await store.purge(100)).is_done:
        pass
    assert store.has_late_prefix or await store.last_seq() == 1
    assert await store.commit(Batch("sidecar-1", [Entry(second)])) == second.seq > first.seq
    assert (await store.read(RecordQuery(filter=ALL))).records == [second]


@pytest.mark.parametrize(
    "backend", [backend for backend in BACKENDS if backend.is_durable], ids=lambda b: b.name
)
async def test_floors_survive(backend: Backend, tmp_path: Path) -> None:
    """A store that is opened again still hides what was hidden."""
    async with await backend.open(tmp_path) as store:
        await store.commit(Batch("sidecar-1", [Entry(make_record(started_at_us=HOUR))]))
        await store.move_floors(HOUR + HOUR_US, 0)
    async with await backend.open(tmp_path) as store:
        assert (await store.read(RecordQuery(filter=ALL))).records == []
        assert (await store.read(CountQuery(ALL))).exchanges == 0
