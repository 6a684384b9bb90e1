"""Sums stand for rows in figures, whoever makes them, dies over them, or erases meanwhile."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from storage.clickhouse.features import read_features
from storage.clickhouse.link import Link
from storage.clickhouse.store import ClickhouseStorage
from storage.clickhouse.upkeep import erasures, grids, sums
from storage.clickhouse.upkeep.grids import avoid, finish, note, read_grids
from storage.clickhouse.upkeep.parts import await_quiet
from storage.clickhouse.upkeep.sums import CUBES, Summing, sweep
from storage.query import Count, Filter
from storage.record import Batch, Entry
from storage.relational.slices import Range
from storage.relational.time_ranges import DAY_US, HOUR_US
from tests.storage.samples import make_record
from tests.support.clickhouse_sums import SummingStorage

DAY = 20_000 * DAY_US
LIMIT_S = 60.0
ROWS = 4


@pytest.fixture
async def store(link: Link) -> AsyncIterator[SummingStorage]:
    """An empty store in the database of the link, with small grids."""
    async with await SummingStorage.open(link.address, grid_rows=ROWS) as opened:
        yield opened


async def fill(store: ClickhouseStorage, *starts_us: int) -> None:
    """Commit a batch of records, each second one with another project."""
    records = [make_record(started_at_us=start, project=f"p{place % 2}") for place, start in enumerate(starts_us)]
    await store.commit(Batch("sidecar-1", [Entry(record) for record in records]))


async def add_all(store: ClickhouseStorage) -> None:
    """Make all sums that can be made."""
    while not (await store.add_sums()).is_done:
        pass


async def rows(link: Link, table: str) -> int:
    """How many rows there are, shown or not."""
    [(count,)] = await link.fetch(f"SELECT count() FROM {table}", limit_s=LIMIT_S)
    return int(count)


async def take_rows(link: Link, *seqs: int) -> None:
    """Delete rows of records as nobody does."""
    await link.execute("ALTER TABLE records DELETE WHERE seq IN $1", (seqs,), limit_s=LIMIT_S)
    assert await await_quiet(link, LIMIT_S)


async def test_rows_with_sums_are_not_read(link: Link, store: SummingStorage) -> None:
    """Counts of whole grids come from sums, those of the rows behind the last from rows."""
    await fill(store, *range(DAY, DAY + 10))
    await add_all(store)
    await take_rows(link, 2, 10)
    assert await store.count(Filter()) == Count(9, 0)
    assert await store.count(Filter(projects=("p1",))) == Count(4, 0)
    assert (await store.histogram(Filter(), DAY, DAY + 2 * HOUR_US, 2)).buckets[0].exchanges == 9


async def test_who_dies_leaves_nothing(link: Link, store: SummingStorage) -> None:
    """Sums count when all of them are there; nobody else begins with them for a while."""
    await fill(store, *range(DAY, DAY + 3))
    seqs = Range(1, ROWS)
    await note(link, seqs, 77, 0, "begun")
    await fill(store, DAY + 3)
    names = "made, started_hour, exchanges"
    for table in CUBES:
        if table != "usage_rollups":
            sql = f"INSERT INTO {table} ({names}) SELECT toUInt64(77), {DAY // HOUR_US}, 5"
            await link.execute(sql, limit_s=LIMIT_S)
    assert await store.count(Filter()) == Count(4, 0)
    assert (await store.add_sums()).is_done
    await note(link, seqs, 77, 0, "done")
    store._commits.forget_made()
    assert await store.count(Filter()) == Count(5, 0), "the sums were not read, so the test shows nothing"


async def test_two_add_up_the_same_rows(link: Link, store: SummingStorage) -> None:
    """Of both sums one is read, and the other is deleted some day."""
    await fill(store, *range(DAY, DAY + 2))
    async with await ClickhouseStorage.open(link.address, grid_rows=ROWS) as other:
        await other.commit(Batch("sidecar-2", [Entry(make_record(started_at_us=DAY)) for _ in range(2)]))
        known, features = await other._commits.read(link), await read_features(link)
        both = [Summing(link, features, ROWS) for _ in range(2)]
        assert await read_grids(link) == []
        async with asyncio.TaskGroup() as group:
            for each in both:
                group.create_task(each.step(known))
        store._commits.forget_made()
        assert await store.count(Filter()) == await other.count(Filter()) == Count(4, 0)


async def test_an_erasure_voids_the_sums_it_touches(link: Link, store: SummingStorage) -> None:
    """Those of other rows go on being read; those it touches are made again."""
    await fill(store, *range(DAY, DAY + 8))
    await add_all(store)
    assert (await store.erase(Filter(since_us=DAY + 6))).exchanges == 2
    assert await store.count(Filter()) == Count(6, 0)
    known = await store._commits.read(link)
    assert known.sums().runs == [Range(1, 4)]
    await add_all(store)
    assert await store.count(Filter()) == Count(6, 0)
    assert (await store._commits.read(link)).sums().runs == [Range(1, 8)]


async def test_an_erasure_while_sums_are_made(
    link: Link, store: SummingStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was added up before it is void, though it was noted behind it."""
    await fill(store, *range(DAY, DAY + 3))
    await store.commit(Batch("sidecar-1", []))

    async def late(link: Link, seqs: Range, made: int, erasures: int) -> None:
        if not erasures:
            await store.erase(Filter(since_us=DAY + 3))
        await finish(link, seqs, made, erasures)

    monkeypatch.setattr(sums, "finish", late)
    await fill(store, DAY + 3)
    assert await store.count(Filter()) == Count(3, 0)
    await add_all(store)
    assert await store.count(Filter()) == Count(3, 0)
    assert (await store._commits.read(link)).sums().runs == [Range(1, 4)]


async def test_an_erasure_that_came_to_nothing(link: Link, store: SummingStorage) -> None:
    """Its rows are read, whether the server deletes them or not, until the next erasure."""
    await fill(store, *range(DAY, DAY + 8))
    await add_all(store)
    await erasures.hide(link, [3], erasure=1, grid_rows=ROWS)
    store._commits.forget_made()
    assert await store.count(Filter()) == Count(8, 0)
    await add_all(store)
    assert (await store._commits.read(link)).sums().runs == [Range(5, 8)]
    assert (await store.erase(Filter(since_us=DAY + 7))).exchanges == 1
    assert await store.count(Filter()) == Count(6, 0)
    await add_all(store)
    assert await store.count(Filter()) == Count(6, 0)
    assert (await store._commits.read(link)).sums().runs == [Range(1, 8)]


async def test_what_is_deleted_stays_so_when_floors_are_lowered(link: Link, store: SummingStorage) -> None:
    """Sums have it still, and are void."""
    await fill(store, *(DAY + place * DAY_US for place in range(4)))
    await add_all(store)
    await store.raise_floors(DAY + 2 * DAY_US, 0)
    assert await store.count(Filter()) == Count(2, 0)
    await take_rows(link, 1)
    await store.lower_floors(0, 0)
    assert await store.count(Filter()) == Count(3, 0)
    await add_all(store)
    assert await store.count(Filter()) == Count(3, 0)


async def test_sums_of_days_below_the_floor_go(link: Link, store: SummingStorage) -> None:
    """With the rows of the day."""
    await fill(store, *(DAY + place * DAY_US for place in range(4)))
    await add_all(store)
    assert await rows(link, "status_rollups") == 4
    await store.raise_floors(DAY + 2 * DAY_US, 0)
    while not (await store.purge(100)).is_done:
        pass
    assert await rows(link, "status_rollups") == 2
    assert await store.count(Filter()) == Count(2, 0)


async def test_sums_that_nobody_reads_go(link: Link, store: SummingStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Void ones, and those of rows that the cap on size has taken; others, and those just begun, stay."""
    monkeypatch.setattr(sums, "_SWEPT_GRIDS", 1)
    await fill(store, *range(DAY, DAY + 12))
    await add_all(store)
    await avoid(link, [5], 1, ROWS)
    await sweep(link, 0, 4)
    assert await rows(link, "endpoint_rollups") == 3 * 2
    monkeypatch.setattr(sums, "_SWEPT_S", -1)
    await sweep(link, 0, 4)
    assert await await_quiet(link, LIMIT_S)
    assert await rows(link, "endpoint_rollups") == 2
    assert {(grid.first_seq, grid.what) for grid in await read_grids(link)} == {(5, "void"), (9, "begun"), (9, "done")}
    store._commits.forget_made()
    assert await store.count(Filter()) == Count(12, 0)


async def test_sums_that_took_too_long(link: Link, store: SummingStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """They do not count: somebody may have deleted them as those of one who died."""
    monkeypatch.setattr(grids, "BEGUN_S", -1)
    await fill(store, *range(DAY, DAY + 4))
    assert {grid.what for grid in await read_grids(link)} == {"begun"}
    assert await store.count(Filter()) == Count(4, 0)


async def test_a_table_of_sums_that_was_dropped(link: Link, store: SummingStorage) -> None:
    """It is made anew, and figures are those of the rows until it is filled."""
    await fill(store, *range(DAY, DAY + 4))
    await add_all(store)
    await link.execute("DROP TABLE endpoint_rollups", limit_s=LIMIT_S)
    async with await ClickhouseStorage.open(link.address, grid_rows=ROWS) as again:
        top = await again.top(Filter(), "endpoint")
        assert sum(row.exchanges for row in top.rows) == 4
        await add_all(again)
        top = await again.top(Filter(), "endpoint")
        assert sum(row.exchanges for row in top.rows) == 4
