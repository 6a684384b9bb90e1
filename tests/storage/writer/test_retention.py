"""Retention decides floors by age and size, and deletes in slices until nothing is left below them."""

import asyncio
import random
from pathlib import Path

import pytest

from storage.purge import Purged, RetentionState
from storage.query import Filter
from storage.record import Batch, Entry
from storage.relational.time_ranges import HOUR_US
from storage.sqlite.store import SqliteStorage
from storage.writer.retention import MAX_ROWS, MIN_ROWS, Floors, Limits, Retention, floors
from tests.storage.samples import make_body, make_payload, make_record
from tests.support.memory_store import MemoryStorage

NOW = 480_000 * HOUR_US + 25 * 60_000_000
HOUR = NOW // HOUR_US
ALL = Filter(kind="all")


def state(**changes: int | None) -> RetentionState:
    """Make the state of a store that has never purged anything."""
    values = {"purge_floor_us": 0, "body_floor_us": 0, "purged_through_seq": 0, "oldest_us": None, "used_bytes": 0}
    return RetentionState(**(values | changes))  # type: ignore[arg-type]


def ago(purge_hours: int, body_hours: int) -> Floors:
    """Make floors so many hours before the running one."""
    return Floors((HOUR - purge_hours) * HOUR_US, (HOUR - body_hours) * HOUR_US)


@pytest.mark.parametrize(
    ("limits", "before", "expected"),
    [
        (Limits(), state(), Floors(0, 0)),
        (Limits(max_age_us=2 * HOUR_US), state(), ago(2, 2)),
        (Limits(max_age_us=9 * HOUR_US, body_max_age_us=HOUR_US), state(), ago(9, 1)),
        (Limits(max_age_us=HOUR_US, body_max_age_us=9 * HOUR_US), state(), ago(1, 1)),
        (Limits(max_age_us=9 * HOUR_US), state(purge_floor_us=HOUR * HOUR_US), Floors(HOUR * HOUR_US, HOUR * HOUR_US)),
        (Limits(max_bytes=100), state(used_bytes=100, oldest_us=5), Floors(0, 0)),
        (Limits(max_bytes=100), state(used_bytes=101, oldest_us=3 * HOUR_US + 5), Floors(4 * HOUR_US, 4 * HOUR_US)),
        (Limits(max_bytes=100), state(used_bytes=101, oldest_us=NOW), Floors(HOUR * HOUR_US, HOUR * HOUR_US)),
        (Limits(max_bytes=100), state(used_bytes=101), Floors(0, 0)),
        (Limits(max_bytes=100), state(used_bytes=101, oldest_us=5, purge_floor_us=HOUR_US), Floors(HOUR_US, HOUR_US)),
    ],
)  # fmt: skip
def test_floors_follow_age_and_size(limits: Limits, before: RetentionState, expected: Floors) -> None:
    """Floors are whole hours, never fall, never pass the running hour, and size waits for deletion."""
    assert floors(limits, before, NOW) == expected


def test_days_are_read_from_the_settings() -> None:
    """Ages are given in days, also parts of one; 0 is no limit."""
    assert Limits.of(0.5, 0, 7) == Limits(max_age_us=12 * HOUR_US, body_max_age_us=0, max_bytes=7)


async def test_old_records_are_deleted_and_told() -> None:
    """What is older than the limit goes, and is told once, with the floors."""
    told: list[tuple[int, Floors]] = []
    async with MemoryStorage() as store:
        old = [make_record(started_at_us=NOW - 3 * HOUR_US) for _ in range(5)]
        new = make_record(started_at_us=NOW)
        await store.commit(Batch("sidecar-1", [Entry(record) for record in (*old, new)]))
        retention = Retention(
            store, Limits(max_age_us=HOUR_US), lambda rows, floors: told.append((rows, floors)), clock_us=lambda: NOW
        )
        assert not await retention.tidy()
        assert not await retention.tidy()
        assert (await store.count(ALL)).exchanges == 1
        assert (await store.retention()).oldest_us == NOW
    assert told == [(5, ago(1, 1))]
    assert (retention.rows_purged, retention.lag_s) == (5, 0.0)


class Slow(MemoryStorage):
    """A store whose slices take long, by a clock of its own, and that notes how large they were."""

    now_s = 0.0
    took_s = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.slices: list[int] = []

    async def purge(self, max_rows: int) -> Purged:
        self.slices.append(max_rows)
        self.now_s += self.took_s
        return Purged(1, 0, is_done=len(self.slices) == 12)


@pytest.mark.parametrize(("took_s", "last"), [(0.06, MIN_ROWS), (0.0, MAX_ROWS), (0.03, MAX_ROWS // 5)])
async def test_slices_fit_their_time(took_s: float, last: int) -> None:
    """Slices become smaller when one takes long and larger when it does not, within bounds."""
    async with Slow() as store:
        store.took_s = took_s
        retention = Retention(store, Limits(), clock_us=lambda: NOW, monotonic=lambda: store.now_s)
        await retention.tidy()
        assert store.slices[-1] == last


async def test_the_size_cap_takes_the_oldest_hours_and_gives_space_back(tmp_path: Path) -> None:
    """A store that is too large loses whole hours, the oldest first, until it fits; the file becomes smaller."""
    chance = random.Random(7)
    async with await SqliteStorage.open(tmp_path / "records.db", durability="fast") as store:
        for hour in range(8):
            entries = []
            for number in range(40):
                payload = make_payload(number)
                payload.response_body = make_body(chance.randbytes(40_000))
                entries.append(Entry(make_record(started_at_us=NOW - (8 - hour) * HOUR_US), payload))
            await store.commit(Batch("sidecar-1", entries))
        full = (await store.retention()).used_bytes
        size = (await store.info()).size_bytes
        retention = Retention(store, Limits(max_bytes=full // 2), clock_us=lambda: NOW)
        while await retention.tidy():
            pass
        after = await store.retention()
        assert after.used_bytes <= full // 2
        left = (await store.count(ALL)).exchanges
        assert 0 < left < 8 * 40
        assert left % 40 == 0
        assert after.oldest_us is not None
        assert after.oldest_us >= after.purge_floor_us
        assert (await store.info()).rows == left
    assert (tmp_path / "records.db").stat().st_size < size


async def test_a_store_that_is_away_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    """The task outlives a store that is closed under it."""
    store = MemoryStorage()
    await store.close()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(Retention(store, Limits()).run(), name="retention")
        while "retention waits for the store" not in caplog.text:  # noqa: ASYNC110 - a log sends no event
            await asyncio.sleep(0.001)
        assert not running.done()
        running.cancel()
