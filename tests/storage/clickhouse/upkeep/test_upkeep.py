"""What retention, erasure and the cap on size leave in the server's parts."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable

import pytest

from storage.clickhouse.store import ClickhouseStorage
from storage.clickhouse.upkeep import parts, purge
from storage.clickhouse.upkeep.parts import is_mutating
from storage.clickhouse.upkeep.state import Upkeep, read_upkeep
from storage.clickhouse.wire.link import Link
from storage.purge import KEPT_ROWS
from storage.query import Filter, RecordQuery
from storage.record import Batch, Entry, Record
from storage.relational.time_ranges import DAY_US, HOUR_US
from tests.storage.clickhouse.conftest import DELAY_MS
from tests.storage.samples import SOURCE, make_batch, make_body, make_payload, make_record

DAY = 20_000 * DAY_US
LIMIT_S = 60.0
ALL = Filter(kind="all")


@pytest.fixture
async def store(link: Link) -> AsyncIterator[ClickhouseStorage]:
    """An empty store in the database of the link."""
    async with await ClickhouseStorage.open(link.address, order_delay_ms=DELAY_MS) as opened:
        yield opened


async def fill(store: ClickhouseStorage, *starts_us: int) -> list[Record]:
    """Commit a batch of records with payloads, and wait until the stable prefix has them."""
    entries = [Entry(make_record(started_at_us=start), make_payload(1)) for start in starts_us]
    chance = random.Random(len(entries))
    for entry in entries:
        assert entry.payload is not None
        entry.payload.response_body = make_body(chance.randbytes(3000))
    last_seq = await store.commit(Batch("sidecar-1", entries))
    while True:
        if await store.last_seq() >= last_seq:
            return [entry.record for entry in entries]
        await asyncio.sleep(0.1)


async def shown(store: ClickhouseStorage) -> list[Record]:
    """All records that are shown."""
    return (await store.read(RecordQuery(filter=ALL, order="asc", limit=1000))).records


async def stored(link: Link, condition: str = "kind < 2") -> int:
    """How many rows there are, shown or not."""
    [(count,)] = await link.fetch(f"SELECT count() FROM records WHERE {condition}", limit_s=LIMIT_S)
    return int(count)


async def size_of_bodies(link: Link) -> int:
    """How many bytes of bodies there are."""
    [(size,)] = await link.fetch("SELECT sum(length(response_body)) FROM records", limit_s=LIMIT_S)
    return int(size)


@pytest.fixture
def all_days_end(monkeypatch: pytest.MonkeyPatch) -> Callable[[], object]:
    """Make all days old enough to be dropped, and none the newest."""
    list_days = parts.list_days

    async def and_a_newer_one(link: Link) -> list[parts.Day]:
        return [*await list_days(link), parts.Day(1 << 20, 1 << 60)]

    def end() -> None:
        monkeypatch.setattr(parts, "KEPT_DAYS", -10)
        monkeypatch.setattr(parts, "list_days", and_a_newer_one)

    return end


def test_floors_rise_and_fall() -> None:
    """Rising changes nothing downwards, falling nothing upwards; bodies never stay longer than
    rows.
    """

    def of(upkeep: Upkeep) -> tuple[int, int]:
        return upkeep.purge_floor_us, upkeep.body_floor_us

    floors = Upkeep().raised(5, 3)
    assert of(floors) == (5, 5)
    assert of(floors.raised(4, 7)) == (5, 7)
    assert of(floors.lowered(9, 9)) == (5, 5)
    assert of(floors.raised(0, 9).lowered(2, 4)) == (2, 4)


async def test_rows_below_a_floor_are_written_out_of_a_small_day(
    link: Link, store: ClickhouseStorage
) -> None:
    """Records are counted once, in slices. Rows of positions stay."""
    records = await fill(store, *(DAY + hour * HOUR_US for hour in range(5)))
    await store.move_floors(DAY + 3 * HOUR_US, 0)
    assert await shown(store) == records[3:]
    assert [(await store.purge(2)).rows for _ in range(3)] == [2, 1, 0]
    assert (await stored(link), await stored(link, "writer <> ''")) == (2, 1)
    state = await store.retention()
    assert (state.purged_through_seq, state.lag_s) == (records[3].seq - 1, 0)
    assert state.reaches_back_us == state.oldest_us == records[3].started_at_us
    assert await shown(store) == records[3:]


async def test_a_large_day_waits_for_its_end(
    link: Link,
    store: ClickhouseStorage,
    monkeypatch: pytest.MonkeyPatch,
    all_days_end: Callable[[], None],
) -> None:
    """Its rows are hidden meanwhile, and the lag shows that they are there; then it is dropped."""
    monkeypatch.setattr(purge, "REWRITTEN_BYTES", 0)
    await fill(store, DAY + HOUR_US, DAY + 20 * HOUR_US)
    await store.move_floors(DAY + 2 * HOUR_US, 0)
    assert (await store.purge(10)).is_done
    assert len(await shown(store)) == 1
    assert (await store.retention()).lag_s == 3600
    all_days_end()
    assert (await store.purge(10)).is_done
    await store.move_floors(DAY + DAY_US, 0)
    assert (await store.purge(10)).rows == 2
    assert await stored(link, "seq > 0") == 0


async def test_what_comes_late_below_what_was_purged_is_shown(store: ClickhouseStorage) -> None:
    """Nothing is hidden above the stable prefix."""
    await fill(store, DAY)
    await store.move_floors(DAY + HOUR_US, 0)
    last_seq = await store.commit(make_batch(make_record(started_at_us=DAY)))
    assert (await store.purge(10)).rows == 2
    assert (await store.retention()).purged_through_seq < last_seq


async def test_bodies_of_whole_days_go_before_rows(link: Link, store: ClickhouseStorage) -> None:
    """Each day is written anew once."""
    records = await fill(store, DAY, DAY + DAY_US, DAY + DAY_US + HOUR_US)
    await store.move_floors(0, DAY + DAY_US + HOUR_US)
    for _ in range(2):
        assert (await store.purge(10)).is_done
        assert await size_of_bodies(link) == 6000
    found = await store.payloads([record.seq for record in records])
    assert [found[record.seq].response_body is None for record in records] == [True, True, False]
    assert all(payload.request_head for payload in found.values())


async def test_the_erased_are_taken_out(link: Link, store: ClickhouseStorage) -> None:
    """Answers lack them at once, the parts when the server has time. Positions and `last_seq` stay."""
    await store.commit(make_batch(make_record(started_at_us=DAY + 4), offset=7))
    records = await fill(store, *range(DAY, DAY + 10))
    before = await store.last_seq()
    erased = await store.erase(Filter(since_us=DAY + 4))
    assert (erased.exchanges, erased.events, erased.through_seq) == (7, 0, before)
    assert await shown(store) == records[:4]
    while left := await store.erasing():
        assert 0 < left <= 7
        await asyncio.sleep(0.05)
    assert not await is_mutating(link)
    assert await stored(link) == 4
    assert await store.last_seq() == before
    again = await store.erase(Filter(since_us=DAY + 4))
    assert (again.exchanges, again.is_finished) == (0, True)
    async with await ClickhouseStorage.open(link.address) as other:
        assert await other.last_seq() == before
        assert (await other.positions("sidecar-1"))[SOURCE].offset == 7


async def test_what_is_not_in_the_stable_prefix_is_erased_too(store: ClickhouseStorage) -> None:
    """Readers see it already."""
    await store.commit(make_batch(make_record()))
    assert (await store.erase(ALL)).exchanges == 1
    assert await shown(store) == []


async def test_bodies_go_before_rows_for_the_cap_and_space_is_given_back(
    link: Link, store: ClickhouseStorage
) -> None:
    """Hidden bytes count as free at once; the estimate is close to what is freed later."""
    records = await fill(store, *range(DAY, DAY + KEPT_ROWS + 100))
    full = (await store.retention()).used_bytes
    assert (await store.trim(60)).bodies == 60
    assert (await store.trim(60)).bodies == 40
    used = (await store.retention()).used_bytes
    assert used < 0.6 * full
    payloads = await store.payloads([record.seq for record in records])
    assert [payloads[record.seq].response_body is None for record in records] == [True] * 100 + [
        False
    ] * 100
    assert (await store.trim(30)).rows == 30
    assert await shown(store) == records[30:]
    used = (await store.retention()).used_bytes
    await store.reclaim()
    assert (await stored(link), await size_of_bodies(link)) == (170, 3000 * 100)
    assert (await read_upkeep(store._register)).hidden_bytes == 0
    assert 0.7 * used < (await store.retention()).used_bytes < 1.3 * used
    while not (await store.trim(1000)).is_done:
        pass
    assert await shown(store) == records[-KEPT_ROWS:]
    assert (await store.retention()).purged_through_seq == records[-KEPT_ROWS - 1].seq


async def test_days_that_the_cap_took_are_dropped(
    link: Link, store: ClickhouseStorage, all_days_end: Callable[[], None]
) -> None:
    """As soon as no row in them is shown."""
    await fill(store, *range(DAY, DAY + KEPT_ROWS + 20))
    while not (await store.trim(1000)).is_done:
        pass
    all_days_end()
    await store.reclaim()
    assert await stored(link) == KEPT_ROWS
    await store.move_floors(DAY + HOUR_US, 0)
    await store.reclaim()
    assert await stored(link, "seq > 0") == 0
