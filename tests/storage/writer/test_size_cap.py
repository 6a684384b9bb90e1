"""The cap on size: when it is looked at, how far it goes, what it tells."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from storage.purge import KEPT_ROWS, RetentionState, Trimmed
from storage.writer.size_cap import (
    EARLY,
    HIGH,
    LOW,
    MIN_BATCH_BYTES,
    SizeCap,
    batch_max_bytes,
)
from tests.storage.samples import make_batch, make_record
from tests.support.memory_store import MemoryStorage

ROW = 1000
CAP = 1_000_000


class Sized(MemoryStorage):
    """A store whose size is that of its rows, and that counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.reclaimed = 0

    async def retention(self) -> RetentionState:
        self.looks += 1
        state = await super().retention()
        return replace(state, used_bytes=await self.used_bytes())

    async def used_bytes(self) -> int:
        """Measure: four tenths of a row are its body."""
        rows = (await self.info()).rows
        bodies = await self.last_seq() - self._bodies_through_seq
        return (ROW * 6 * rows + ROW * 4 * min(rows, bodies)) // 10

    async def reclaim(self) -> None:
        self.reclaimed += 1

    async def fill(self, rows: int) -> None:
        """Commit rows."""
        await self.commit(make_batch(*(make_record() for _ in range(rows))))


@pytest.fixture
async def store() -> AsyncIterator[Sized]:
    """An empty store."""
    async with Sized() as made:
        yield made


async def test_a_batch_makes_room_for_itself(store: Sized) -> None:
    """Above the high mark the oldest go down to the low mark, before the batch is stored."""
    await store.fill(int(HIGH * CAP / ROW) + 1)
    cap = SizeCap(store, CAP)
    await cap.make_room(100, 100_000)
    assert LOW * CAP - 10 * ROW < await store.used_bytes() <= LOW * CAP
    assert (await store.retention()).purged_through_seq == cap.total.rows
    assert cap.total.bodies > 0
    assert cap.reaches_back_us == (await store.retention()).reaches_back_us


async def test_the_size_is_looked_at_when_it_could_matter(store: Sized) -> None:
    """Not before every batch: only when what came since could have reached the mark; always when
    that is unknown.
    """
    await store.fill(100)
    cap = SizeCap(store, CAP)
    for _ in range(20):
        await cap.make_room(1, 5000)
    assert store.looks == 1
    for _ in range(20):
        await cap.make_room(1, 10_000)
    assert store.looks == 2
    await cap.make_room(1, 0)
    assert store.looks == 3
    await cap.make_room(0, 10 * CAP)
    await SizeCap(store, 0).make_room(1000, 0)
    assert store.looks == 3


async def test_a_batch_waits_for_a_few_times_what_it_brings(store: Sized) -> None:
    """A store that is far too large is brought down by the task."""
    await store.fill(9000)
    cap = SizeCap(store, CAP)
    await cap.make_room(1, 1000)
    assert await store.used_bytes() > 8.9 * CAP
    await cap.tidy()
    assert LOW * CAP - 10 * ROW < await store.used_bytes() <= LOW * CAP
    assert store.reclaimed == 1


async def test_batches_do_not_wait_for_a_store_that_is_made_smaller(store: Sized) -> None:
    """It gets no larger than it was at first, and little larger than the task has left it."""
    await store.fill(9000)
    cap = SizeCap(store, CAP)
    await cap.make_room(1, 1000)
    assert await store.used_bytes() + 4 * 2024 <= 9 * CAP
    await store.fill(1)
    for _ in range(20):
        await store.trim(100)  # as the task does
    before = await store.used_bytes()
    await cap.make_room(5, 5000)
    assert await store.used_bytes() == before
    assert cap.used_bytes == before
    await cap.make_room(100, 100_000)
    assert await store.used_bytes() + 4 * 202_400 <= before + CAP / 8


async def test_the_oldest_go_before_batches_wait(store: Sized) -> None:
    """Somewhat below the mark, by the task; batches that come meanwhile find room."""
    await store.fill(int(EARLY * CAP / ROW) + 1)
    cap = SizeCap(store, CAP)
    await cap.make_room(1, 500)
    assert not cap.total.rows + cap.total.bodies
    await cap.tidy()
    assert LOW * CAP - 10 * ROW < await store.used_bytes() <= LOW * CAP


async def test_what_went_is_told_once_and_counted(store: Sized) -> None:
    """By the task, with from when there still are records."""
    told: list[dict[str, object]] = []
    await store.fill(2000)
    cap = SizeCap(store, CAP, told.append)
    await cap.tidy()
    cap.report()
    cap.report()
    state = await store.retention()
    assert state.reaches_back_us is not None
    assert told == [
        {
            "reason": "size",
            "rows": state.purged_through_seq,
            "bodies": cap.total.bodies,
            "reachesBackToMs": state.reaches_back_us // 1000,
        }
    ]
    assert cap.total.bodies > 0


async def test_what_goes_beside_traffic_that_never_rests_is_told(
    store: Sized, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch wakes the task before its round is over: what went is told now and then, and the
    rest at its end.
    """
    monkeypatch.setattr("storage.writer.size_cap.ROUND_S", 0.2)
    told: list[dict[str, Any]] = []
    await store.fill(int(HIGH * CAP / ROW) + 1)
    cap = SizeCap(store, CAP, told.append)
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(60):
        running = tasks.create_task(cap.run(), name="cap")
        while not told:
            await cap.make_room(20, 20_000)
            await store.fill(20)
            await asyncio.sleep(0.005)
        running.cancel()

    assert sum(report["rows"] for report in told) == cap.total.rows


async def test_what_goes_is_told_where_as_much_comes(
    store: Sized, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task never gets down to where it rests: it tells of what goes all the same."""
    monkeypatch.setattr("storage.writer.size_cap.ROUND_S", 0.0)
    told: list[dict[str, Any]] = []
    await store.fill(2000)
    trim = store.trim

    async def trim_in_vain(max_rows: int) -> Trimmed:
        await store.fill(max_rows)
        return await trim(max_rows)

    monkeypatch.setattr(store, "trim", trim_in_vain)
    cap = SizeCap(store, CAP, told.append)
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(30):
        running = tasks.create_task(cap.tidy(), name="tidy")
        while not told:
            assert not running.done()
            await asyncio.sleep(0.01)
        running.cancel()


async def test_the_newest_stay_under_a_cap_that_is_too_small(
    store: Sized, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, and batches are stored all the same."""
    await store.fill(500)
    cap = SizeCap(store, 10 * ROW)
    for _ in range(3):
        await cap.tidy()
        await cap.make_room(1, 1000)
    assert (await store.info()).rows == KEPT_ROWS

    assert caplog.text.count("is too small for the newest records alone") == 1


async def test_the_task_wakes_when_a_batch_left_something(
    store: Sized, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And outlives a store that is away."""
    monkeypatch.setattr("storage.writer.size_cap.ROUND_S", 3600)
    cap = SizeCap(store, CAP)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(cap.run(), name="size cap")
        await asyncio.sleep(0)
        await store.fill(1500)
        await cap.make_room(1, 0)
        async with asyncio.timeout(30):
            while await store.used_bytes() > HIGH * CAP:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.001)
        running.cancel()

    assert 0 < (await store.info()).rows < 1500


def test_batches_are_small_against_the_cap() -> None:
    """Down to a size below which nothing would be stored efficiently."""
    assert batch_max_bytes(0, 8 << 20) == 8 << 20
    assert batch_max_bytes(10 << 30, 8 << 20) == 8 << 20
    assert batch_max_bytes(64 << 20, 8 << 20) == 1 << 20
    assert batch_max_bytes(8 << 20, 8 << 20) == MIN_BATCH_BYTES
    assert Trimmed(0, 0).is_done
