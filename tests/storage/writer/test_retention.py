"""Retention decides floors by age, and deletes in slices until nothing is left below them."""

import asyncio
from dataclasses import replace

import pytest

from storage.base import Storage
from storage.errors import StorageUnavailable
from storage.purge import Purged, RetentionState
from storage.query import CountQuery, Filter, RecordQuery
from storage.record import Batch, Entry
from storage.relational.time_ranges import HOUR_US
from storage.sqlite.store import SqliteStorage
from storage.writer.retention import Floors, Limits, Retention, floors
from storage.writer.trusted_clock import TrustedClock
from tests.storage.samples import make_batch, make_record
from tests.support.cases import each_of
from tests.support.memory_store import MemoryStorage

NOW = 480_000 * HOUR_US + 25 * 60_000_000
HOUR = NOW // HOUR_US
ALL = Filter(kind="all")


def state(**changes: int | None) -> RetentionState:
    """Make the state of a store that has never purged anything."""
    values = {
        "purge_floor_us": 0,
        "body_floor_us": 0,
        "purged_through_seq": 0,
        "oldest_us": None,
        "used_bytes": 0,
    }
    return RetentionState(**(values | changes))  # type: ignore[arg-type]


def ago(purge_hours: int, body_hours: int) -> Floors:
    """Make floors so many hours before the running one."""
    return Floors((HOUR - purge_hours) * HOUR_US, (HOUR - body_hours) * HOUR_US)


@each_of(
    ("limits", "before", "expected"),
    [
        (Limits(), state(), Floors(0, 0)),
        (Limits(max_age_us=2 * HOUR_US), state(), ago(2, 2)),
        (Limits(max_age_us=9 * HOUR_US, body_max_age_us=HOUR_US), state(), ago(9, 1)),
        (Limits(max_age_us=HOUR_US, body_max_age_us=9 * HOUR_US), state(), ago(1, 1)),
        (Limits(max_age_us=9 * HOUR_US), state(purge_floor_us=HOUR * HOUR_US), Floors(HOUR * HOUR_US, HOUR * HOUR_US)),
    ],
)  # fmt: skip
def test_floors_follow_age(limits: Limits, before: RetentionState, expected: Floors) -> None:
    """Floors are whole hours, never fall, and never pass the running hour."""
    assert floors(limits, before, NOW) == expected


def test_days_are_read_from_the_settings() -> None:
    """Ages are given in days, also parts of one; 0 is no limit."""
    assert Limits.of(0.5, 0) == Limits(max_age_us=12 * HOUR_US, body_max_age_us=0)


async def test_old_records_are_deleted_and_told() -> None:
    """What is older than the limit goes, and is told once, with the floors."""
    told: list[dict[str, object]] = []
    async with MemoryStorage() as store:
        old = [make_record(started_at_us=NOW - 3 * HOUR_US) for _ in range(5)]
        new = make_record(started_at_us=NOW)
        await store.commit(make_batch(*old, new))
        retention = Retention(
            store,
            Limits(max_age_us=HOUR_US),
            told.append,
            clock_us=lambda: NOW,
        )
        await retention.tidy()
        await retention.tidy()
        assert (await store.read(CountQuery(ALL))).exchanges == 1
        assert (await store.retention()).oldest_us == NOW

    floor_ms = ago(1, 1).purge_us // 1000
    assert told == [
        {"reason": "age", "rows": 5, "purgedBeforeMs": floor_ms, "bodiesBeforeMs": floor_ms}
    ]
    assert (retention.rows_purged, retention.lag_s) == (5, 0.0)


class FalteringStore(MemoryStorage):
    """A store that is away for a moment between two slices."""

    slices = 0

    async def purge(self, max_rows: int) -> Purged:
        """Delete two rows at a time."""
        self.slices += 1
        if self.slices == 2:
            raise StorageUnavailable("away for the test")
        return await super().purge(2)


async def test_what_was_deleted_before_the_store_went_away_is_told_as_well() -> None:
    """What is left goes, and is told, when the store is back."""
    told: list[object] = []
    async with FalteringStore() as store:
        old = [make_record(started_at_us=NOW - 3 * HOUR_US) for _ in range(5)]
        new = make_record(started_at_us=NOW)
        await store.commit(make_batch(*old, new))
        retention = Retention(
            store,
            Limits(max_age_us=HOUR_US),
            lambda report: told.append(report["rows"]),
            clock_us=lambda: NOW,
        )
        with pytest.raises(StorageUnavailable):
            await retention.tidy()
        await retention.tidy()

    assert told == [2, 3]


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


class Clocks:
    """A machine whose wall clock can be set."""

    def __init__(self) -> None:
        self.ahead_us = 0
        self.boot_us = 0

    def retention(self, store: Storage, limits: Limits) -> Retention:
        """Make the task, as after a start."""
        wall = lambda: NOW + self.boot_us + self.ahead_us  # noqa: E731 - read where it is used
        return Retention(
            store, limits, clock_us=wall, trusted=TrustedClock(wall, lambda: self.boot_us)
        )


@pytest.mark.parametrize("ahead_us", [60_000_000, 40 * 24 * HOUR_US, 30 * 365 * 24 * HOUR_US])
@pytest.mark.parametrize("has_restarted", [False, True])
async def test_a_clock_that_jumps_ahead_deletes_nothing(
    ahead_us: int, *, has_restarted: bool
) -> None:
    """Neither what was there nor what is recorded meanwhile and after, over a restart too; then age
    counts again.
    """
    clocks = Clocks()
    async with await SqliteStorage.open(None) as store:

        async def commit() -> None:
            now = NOW + clocks.boot_us + clocks.ahead_us
            await store.commit(make_batch(make_record(started_at_us=now)))

        retention = clocks.retention(store, Limits(max_age_us=HOUR_US, body_max_age_us=HOUR_US))
        await commit()
        await retention.tidy()
        clocks.ahead_us = ahead_us
        if has_restarted:
            retention = clocks.retention(store, Limits(max_age_us=HOUR_US))
        for _ in range(3):
            clocks.boot_us += 10_000_000
            await retention.tidy()
            await commit()
            if has_restarted:
                retention = clocks.retention(store, Limits(max_age_us=HOUR_US))

        clocks.ahead_us = 0
        await retention.tidy()
        await commit()
        assert (await store.read(CountQuery(ALL))).exchanges == 5
        clocks.boot_us += 4 * HOUR_US
        await retention.tidy()
        left = (await store.read(RecordQuery(filter=ALL))).records
        assert all(record.started_at_us > NOW + 4 * HOUR_US - 2 * HOUR_US for record in left)


@pytest.mark.parametrize("ahead_us", [0, 40 * 24 * HOUR_US])
async def test_without_a_record_no_clock_is_believed(ahead_us: int) -> None:
    """An empty store gets no floor, under which what comes in from rings of the last run would be
    gone at once.
    """
    clocks = Clocks()
    clocks.ahead_us = ahead_us
    async with MemoryStorage() as store:
        retention = clocks.retention(store, Limits(max_age_us=9 * HOUR_US))
        await retention.tidy()
        assert (await store.retention()).purge_floor_us == 0
        entries = [Entry(make_record(started_at_us=NOW + us)) for us in (0, 1, 2)]
        await store.commit(Batch("sidecar-1", entries))
        await retention.tidy()
        clocks.boot_us += 60_000_000
        await retention.tidy()
        assert (await store.read(CountQuery(ALL))).exchanges == 3


class SharedStorage(MemoryStorage):
    """A store of which the server tells the time."""

    server_now_us = NOW

    async def retention(self) -> RetentionState:
        """Add the server's clock."""
        return replace(await super().retention(), server_now_us=self.server_now_us)


async def test_one_clock_that_is_ahead_deletes_nothing_of_others() -> None:
    """However long it holds: the server's says otherwise; what a wrong one has hidden is shown
    again.
    """
    clocks = Clocks()
    async with SharedStorage() as store:
        await store.commit(make_batch(make_record(started_at_us=NOW)))
        clocks.ahead_us = 365 * 24 * HOUR_US
        retention = clocks.retention(store, Limits(max_age_us=9 * HOUR_US))
        for _ in range(3):
            await retention.tidy()
            clocks.boot_us += 24 * HOUR_US
        assert (await store.read(CountQuery(ALL))).exchanges == 1
        await store.move_floors(NOW // HOUR_US * HOUR_US + 90 * HOUR_US, 0)
        await retention.tidy()
        assert (await store.read(CountQuery(ALL))).exchanges == 1
        store.server_now_us += 20 * HOUR_US
        await retention.tidy()
        assert (await store.read(CountQuery(ALL))).exchanges == 0


async def test_a_floor_that_a_wrong_clock_left_is_undone(caplog: pytest.LogCaptureFixture) -> None:
    """New records were stored and in no answer until the clock had passed that point again."""
    async with MemoryStorage() as store:
        await store.move_floors(NOW // HOUR_US * HOUR_US + 90 * HOUR_US, 0)
        await store.commit(make_batch(make_record(started_at_us=NOW)))
        assert (await store.read(CountQuery(ALL))).exchanges == 0
        await Clocks().retention(store, Limits(max_age_us=9 * HOUR_US)).tidy()
        assert (await store.read(CountQuery(ALL))).exchanges == 1

    assert "set by a clock that was ahead: it is lowered" in caplog.text
