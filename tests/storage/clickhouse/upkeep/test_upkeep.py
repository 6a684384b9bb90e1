"""What retention, erasure and the cap on size leave behind on the server, which no answer shows."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from storage.clickhouse.link import Link
from storage.clickhouse.store import ClickhouseStorage
from storage.clickhouse.upkeep import erasures, measure, purge
from storage.clickhouse.upkeep.erasures import finish
from storage.clickhouse.upkeep.floors import lowered, raised
from storage.clickhouse.upkeep.grids import GRID_ROWS
from storage.clickhouse.upkeep.parts import Partition, await_quiet, listed
from storage.clickhouse.upkeep.state import Upkeep
from storage.clickhouse.writes.journal import read_end
from storage.purge import Erased
from storage.query import Filter
from storage.record import Batch, Entry
from storage.relational.time_ranges import DAY_US, HOUR_US
from tests.storage.samples import make_body, make_payload, make_record

DAY = 20_000 * DAY_US
LIMIT_S = 60.0


@pytest.fixture
async def store(link: Link) -> AsyncIterator[ClickhouseStorage]:
    """An empty store in the database of the link."""
    async with await ClickhouseStorage.open(link.address) as opened:
        yield opened


async def fill(store: ClickhouseStorage, *starts_us: int) -> None:
    """Commit a batch of records with payloads."""
    entries = [Entry(make_record(started_at_us=start), make_payload(1)) for start in starts_us]
    chance = random.Random(len(entries))
    for entry in entries:
        assert entry.payload is not None
        entry.payload.response_body = make_body(chance.randbytes(3000))
    await store.commit(Batch("sidecar-1", entries))


async def days(link: Link) -> dict[str, list[int]]:
    """The days that have rows, by table."""
    found: dict[str, list[int]] = {}
    for partition in await listed(link):
        found.setdefault(partition.table, []).append(partition.day - 20_000)
    return found


async def rows(link: Link, table: str) -> int:
    """How many rows there are, shown or not."""
    [(count,)] = await link.fetch(f"SELECT count() FROM {table}", limit_s=LIMIT_S)
    return int(count)


def test_a_day_before_the_epoch_ends_with_its_number() -> None:
    """Division is towards zero: the day 0 is two days long."""
    assert Partition("records", "1", 1, 0, 0).bounds_us == (DAY_US, 2 * DAY_US - 1)
    assert Partition("records", "0", 0, 0, 0).bounds_us == (1 - DAY_US, DAY_US - 1)
    assert Partition("records", "-1", -1, 0, 0).bounds_us == (1 - 2 * DAY_US, -DAY_US)
    least, most = -(1 << 63), (1 << 63) - 1
    assert Partition("records", "", -(-least // DAY_US), 0, 0).bounds_us[0] == least
    assert Partition("records", "", most // DAY_US, 0, 0).bounds_us[1] == most


def test_floors_rise_and_fall() -> None:
    """Rising changes nothing downwards, falling nothing upwards; bodies never stay longer than rows."""
    floors = raised(Upkeep(), 5, 3)
    assert floors[:2] == (5, 5)
    assert raised(floors, 4, 7)[:2] == (5, 7)
    assert lowered(floors, 9, 9)[:2] == (5, 5)
    assert lowered(raised(floors, 0, 9), 2, 4)[:2] == (2, 4)


async def test_days_are_dropped_and_the_floors_own_day_is_written_anew(link: Link, store: ClickhouseStorage) -> None:
    """Bodies go earlier; what a dead attempt left goes with its day, and is counted by nobody."""
    await fill(store, *(DAY + day * DAY_US + hour * HOUR_US for day in range(3) for hour in (1, 20)))
    await link.execute("INSERT INTO records (seq, attempt, started_at_us) SELECT 1, 77, $1", (DAY,), limit_s=LIMIT_S)
    assert await days(link) == {table: [0, 1, 2] for table in ("records", "heads", "bodies")}
    await store.raise_floors(DAY + DAY_US + 10 * HOUR_US, DAY + 2 * DAY_US)
    assert (await store.purge(2)).rows == 2
    assert (await store.purge(2)).rows == 1
    assert (await store.purge(2)).is_done
    assert await days(link) == {"records": [1, 2], "heads": [1, 2], "bodies": [2]}
    assert [await rows(link, table) for table in ("records", "heads", "bodies")] == [3, 3, 2]
    assert (await store.retention()).purged_through_seq == 3


async def test_a_large_day_waits_for_its_end(
    link: Link, store: ClickhouseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody sees its rows meanwhile, and the lag says so."""
    monkeypatch.setattr(purge, "REWRITTEN_BYTES", 0)
    await fill(store, DAY + HOUR_US, DAY + 20 * HOUR_US)
    await store.raise_floors(DAY + 2 * HOUR_US, 0)
    assert (await store.purge(10)).is_done
    assert (await store.count(Filter())).exchanges == 1
    assert (await store.retention()).lag_s == 3600
    await store.raise_floors(DAY + DAY_US, 0)
    assert (await store.purge(10)).rows == 2
    assert (await store.retention()).lag_s == 0


async def test_the_erased_are_taken_out(link: Link, store: ClickhouseStorage) -> None:
    """Of all tables, in the server's time; then nobody remembers their numbers, and the receipt of another says so."""
    await fill(store, *range(DAY, DAY + 10))
    assert (await store.erase(Filter(since_us=DAY + 4))).exchanges == 6
    assert (await store.count(Filter())).exchanges == 4
    while left := await store.erasing():
        assert left == 6
        await asyncio.sleep(0.05)
    assert await await_quiet(link, LIMIT_S)
    assert [await rows(link, table) for table in ("records", "heads", "bodies", "erased")] == [4, 4, 4, 0]
    assert (await store.count(Filter())).exchanges == 4
    assert (await store.erase(Filter(since_us=DAY + 4))) == Erased(0, 0, 10, is_finished=True)


async def test_a_receipt_says_that_rows_are_left(link: Link, store: ClickhouseStorage) -> None:
    """Whoever has erased them, and was killed before the server was told to delete them."""
    await fill(store, *range(DAY, DAY + 10))
    await erasures.hide(link, [3, 4], erasure=1, grid_rows=GRID_ROWS)
    assert (await store.erase(Filter(since_us=DAY + 50))) == Erased(0, 0, 10, is_finished=False)
    assert await await_quiet(link, LIMIT_S)
    assert await store.erasing() == 0
    assert await rows(link, "records") == 8


async def test_a_mutation_that_came_to_nothing_begins_again(link: Link, store: ClickhouseStorage) -> None:
    """The numbers are not forgotten as long as a row of theirs is left."""
    await fill(store, *range(DAY, DAY + 10))
    await link.execute("INSERT INTO erased (seq, slice) VALUES (3, 1)", limit_s=LIMIT_S)
    assert await finish(link) == 1
    assert await await_quiet(link, LIMIT_S)
    assert await rows(link, "records") == 9
    assert await finish(link) == 0


async def test_rows_that_are_taken_out_while_space_is_measured(
    link: Link, store: ClickhouseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was listed before and what is hidden afterwards do not belong together: it is looked again."""
    await fill(store, *([DAY] * 300))
    while (await store.retention()).purged_through_seq < 180:
        await store.trim(60)
    stale = await listed(link)
    await store.reclaim()
    assert await await_quiet(link, LIMIT_S)
    right = (await store.retention()).used_bytes
    answers = [stale]

    async def late(link: Link) -> list[Partition]:
        return answers.pop() if answers else await listed(link)

    monkeypatch.setattr(measure, "listed", late)
    assert (await store.retention()).used_bytes < 1.2 * right


async def test_space_of_what_the_cap_took_is_given_back(link: Link, store: ClickhouseStorage) -> None:
    """It is counted as free at once; a day of which nothing is left is dropped, the rest is written anew."""
    await fill(store, *([DAY] * 150), *([DAY + DAY_US] * 150))
    before = (await store.retention()).used_bytes
    while (state := await store.retention()).purged_through_seq < 180:
        await store.trim(60)
    _, upkeep = await read_end(link)
    assert state.used_bytes < 0.7 * before
    await store.reclaim()
    assert await await_quiet(link, LIMIT_S)
    assert (await days(link))["records"] == [1]
    assert [await rows(link, table) for table in ("records", "heads")] == [120, 120]
    assert await rows(link, "bodies") == 300 - upkeep.bodies_through_seq > 0
    assert (await store.retention()).used_bytes < 0.7 * before
