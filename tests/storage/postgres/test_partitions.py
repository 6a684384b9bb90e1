"""Days have partitions of their own, made in time, and dropped as a whole."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from storage.backends import open_storage
from storage.postgres import partitions, purge, write
from storage.postgres.connection import set_codecs
from storage.postgres.partitions import Partition
from storage.postgres.store import PostgresStorage
from storage.query import Filter, RecordQuery
from storage.record import Batch, Entry, Record, new_id, now_us
from storage.relational.time_ranges import HOUR_US
from tests.storage.samples import make_batch, make_payload, make_record

DAY_US = 24 * HOUR_US
ALL = Filter(kind="all")
Other = asyncpg.Connection


def record_of(day: int, number: int) -> Record:
    """Make a record that started in the first hours of a day."""
    started_at_us = day * DAY_US + number * 1_000_000
    return make_record(id=new_id(started_at_us * 1000, 99, number), started_at_us=started_at_us)


async def purged_wholly(store: PostgresStorage) -> list[int]:
    """Purge until nothing is left to do; answers how many rows each step took that took any."""
    rows = []
    while not (purged := await store.purge(10)).is_done:
        rows.append(purged.rows)
    return [each for each in rows if each]


async def placed(other: "Other[asyncpg.Record]", table: str) -> dict[str, int]:
    """Count the rows of each partition of a table."""
    rows = await other.fetch(
        f"SELECT tableoid::regclass::text, count(*) FROM sidelog.{table} GROUP BY 1"
    )
    return {name.removeprefix("sidelog."): number for name, number in rows}


async def test_rows_go_to_the_partition_of_their_day(
    store: PostgresStorage, other: "Other[asyncpg.Record]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records and blocks of today are in its partitions, ids of far days in the default one, and
    all are found.
    """
    now = now_us()
    monkeypatch.setattr(write, "now_us", lambda: now)
    today = partitions.day_of(now)
    records = [record_of(day, 1) for day in (today - 1, today, today, today + 400, 0)]
    records[2].id = new_id(today * DAY_US * 1000, 98, 1)
    await store.commit(Batch("sidecar-1", [Entry(record, make_payload()) for record in records]))
    assert await placed(other, "records") == {
        Partition("records", today - 1).name: 1,
        Partition("records", today).name: 2,
        "records_default": 2,
    }
    assert await placed(other, "blocks") == {Partition("blocks", today).name: 2}
    assert (await store.read(RecordQuery(filter=ALL, order="asc"))).records == records
    for record in records:
        assert await store.get(record.id) == record
    assert len(await store.payloads(range(1, 6))) == 5


async def test_a_day_that_has_rows_already_stays_where_it_is(
    store: PostgresStorage, other: "Other[asyncpg.Record]"
) -> None:
    """No partition is made over rows of the default one; the days beside it are made."""
    future = partitions.day_of(now_us()) + 100
    await store.commit(make_batch(record_of(future, 1)))
    await set_codecs(other)
    await partitions.prepare(other, future)
    made = await partitions.listed(other)
    assert Partition("records", future) not in made
    assert {Partition("records", future + 1), Partition("blocks", future)} <= set(made)
    await store.commit(make_batch(record_of(future + 1, 2), record_of(future, 3)))
    assert await placed(other, "records") == {
        "records_default": 2,
        Partition("records", future + 1).name: 1,
    }


async def test_a_day_goes_as_a_whole(
    store: PostgresStorage, other: "Other[asyncpg.Record]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the floor, the partitions of a day are dropped in one step each, the running day stays."""
    monkeypatch.setattr(write, "SPAN_RECORDS", 1)
    today = partitions.day_of(now_us())
    await set_codecs(other)
    await partitions.prepare(other, today - 1)  # as in a store that was made yesterday
    yesterday = [record_of(today - 1, number) for number in range(50)]
    kept = [record_of(today, number) for number in range(5)]
    await store.commit(make_batch(*yesterday))
    await store.commit(Batch("sidecar-1", [Entry(record, make_payload()) for record in kept]))
    await store.move_floors(today * DAY_US, 0)
    assert await purged_wholly(store) == [50]
    left = await partitions.listed(other)
    assert Partition("records", today - 1) not in left
    assert Partition("blocks", today - 1) not in left
    assert Partition("records", today) in left
    assert (await store.read(RecordQuery(filter=ALL, order="asc"))).records == kept
    assert (await store.retention()).purged_through_seq == 50
    assert (await store.info()).rows == 5
    await store.commit(make_batch(record_of(today - 1, 77)))
    assert await placed(other, "records") == {
        "records_default": 1,
        Partition("records", today).name: 5,
    }


async def test_a_reader_in_the_way_makes_the_day_go_in_slices(
    store: PostgresStorage, other: "Other[asyncpg.Record]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day whose partition cannot be dropped now is deleted row by row, and dropped when the
    reader is gone.
    """
    monkeypatch.setattr(purge, "_DROP_WAIT_MS", 50)
    today = partitions.day_of(now_us())
    await set_codecs(other)
    await partitions.prepare(other, today - 1)
    await store.commit(make_batch(*[record_of(today - 1, number) for number in range(25)]))
    await store.move_floors(today * DAY_US, 0)

    async with other.transaction(readonly=True):
        await other.fetchval("SELECT count(*) FROM sidelog.records")
        assert (await store.purge(10)).rows == 10
        # Of its blocks' partition there is no reader.
        assert (await store.purge(10)).rows == 10

    assert await purged_wholly(store) == [5]
    assert Partition("records", today - 1) not in await partitions.listed(other)


async def test_sidecars_purge_one_at_a_time(
    store: PostgresStorage, url: str, tmp_path: Path
) -> None:
    """Two sidecars that delete, while a third commits, do not get into each other's way."""
    await store.commit(
        Batch("sidecar-1", [Entry(record_of(9, number), make_payload()) for number in range(300)])
    )
    await store.move_floors(10 * DAY_US, 0)

    async def delete(purger: PostgresStorage) -> int:
        rows = 0
        while not (purged := await purger.purge(20)).is_done:
            rows += purged.rows
        return rows

    second = await open_storage(url, tmp_path)
    third = await open_storage(url, tmp_path)
    assert isinstance(second, PostgresStorage)

    async with second, third:
        async with asyncio.TaskGroup() as group:
            deleting = [group.create_task(delete(purger)) for purger in (store, second)]
            for number in range(20):
                await third.commit(make_batch(make_record(path=f"/{number}")))
        assert sum(task.result() for task in deleting) == 300
        assert (await third.info()).rows == 20


@pytest.mark.parametrize(("day", "name"), [(0, "records_19700101"), (20_777, "records_20261120")])
def test_partitions_are_named_by_their_day(day: int, name: str) -> None:
    """An operator reads the date, in UTC."""
    assert Partition("records", day).name == name


def test_ids_of_whole_days_are_those_between() -> None:
    """From the first of the first day to the last of the last, whether they are one day or all
    time.
    """
    days = [
        partitions.id_bounds(day * 86_400_000, day * 86_400_000) for day in range(20_000, 20_003)
    ]
    (first, last), (second, _), (third, _) = days
    before_second, before_third = (
        (int.from_bytes(number, "big") - 1).to_bytes(16, "big") for number in (second, third)
    )
    assert partitions.of_whole_days((first, last)) == (first, before_second)
    assert partitions.of_whole_days((last, second)) == (first, before_third)
    assert partitions.of_whole_days((first, before_third)) == (first, before_third)
    assert partitions.of_whole_days(partitions.EVERY_ID) == partitions.EVERY_ID


def test_bounds_hold_the_ids_between() -> None:
    """Every id of a day lies in the bounds of its milliseconds."""
    today = 20_777
    least, most = partitions.id_bounds(today * 86_400_000, (today + 1) * 86_400_000 - 1)
    for moment_us in (today * DAY_US, today * DAY_US + DAY_US // 2, (today + 1) * DAY_US - 1):
        assert least <= new_id(moment_us * 1000 + 999, (1 << 42) - 1, (1 << 20) - 1) <= most
