"""Retention decides floors by age, and deletes in slices until nothing is left below them."""

import asyncio

import pytest

from storage.purge import RetentionState
from storage.query import Filter
from storage.record import Batch, Entry
from storage.relational.time_ranges import HOUR_US
from storage.writer.retention import Floors, Limits, Retention, floors
from tests.storage.samples import make_record
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
    told: list[tuple[int, Floors]] = []
    async with MemoryStorage() as store:
        old = [make_record(started_at_us=NOW - 3 * HOUR_US) for _ in range(5)]
        new = make_record(started_at_us=NOW)
        await store.commit(Batch("sidecar-1", [Entry(record) for record in (*old, new)]))
        retention = Retention(
            store, Limits(max_age_us=HOUR_US), lambda rows, floors: told.append((rows, floors)), clock_us=lambda: NOW
        )
        await retention.tidy()
        await retention.tidy()
        assert (await store.count(ALL)).exchanges == 1
        assert (await store.retention()).oldest_us == NOW
    assert told == [(5, ago(1, 1))]
    assert (retention.rows_purged, retention.lag_s) == (5, 0.0)


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
