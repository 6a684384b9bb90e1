"""Rollups are the exact sums of the committed records."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from storage.periods import HOUR_US
from storage.record import DURATION_BUCKETS_S
from storage.sqlite.store import SqliteStorage
from tests.storage.samples import START_US, make_batch, make_record

BUCKETS = len(DURATION_BUCKETS_S) + 1


async def sums(path: Path, *columns: str) -> list[tuple[int, ...]]:
    """Read columns of all rollup rows."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT {', '.join(columns)} FROM rollups ORDER BY {', '.join(columns)}").fetchall()


async def test_batches_add_up(tmp_path: Path) -> None:
    """Records of one hour and the same dimensions are one row, over all batches; others have rows of their own."""
    path = tmp_path / "records.db"
    hour = START_US // HOUR_US
    async with await SqliteStorage.open(path, durability="fast") as store:
        for _ in range(3):
            await store.commit(
                make_batch(
                    make_record(request_bytes=3, response_bytes=10),
                    make_record(request_bytes=4, response_bytes=20),
                    make_record(started_at_us=START_US + HOUR_US),
                    make_record(kind="event", status=None),
                    make_record(status=503),
                )
            )
    columns = ("hour", "kind", "status_class", "exchanges", "events", "request_bytes", "response_bytes")
    assert await sums(path, *columns) == [
        (hour, 0, 2, 6, 0, 21, 90),
        (hour, 0, 5, 3, 0, 0, 1410),
        (hour, 1, 0, 0, 3, 0, 1410),
        (hour + 1, 0, 2, 3, 0, 0, 1410),
    ]


@pytest.mark.parametrize(
    ("duration_us", "bucket"),
    [(0, 0), (1000, 0), (1001, 1), (2500, 1), (300_000_000, BUCKETS - 2), (300_000_001, BUCKETS - 1), (2**62, 17)],
)
async def test_a_bucket_includes_its_upper_bound(tmp_path: Path, duration_us: int, bucket: int) -> None:
    """A duration is counted in the first bucket whose bound it does not exceed, and so is the first byte."""
    path = tmp_path / "records.db"
    async with await SqliteStorage.open(path, durability="fast") as store:
        await store.commit(make_batch(make_record(duration_us=duration_us, first_byte_us=duration_us)))
        await store.commit(make_batch(make_record(duration_us=duration_us, first_byte_us=None)))
    durations = [f"duration_{number:02}" for number in range(BUCKETS)]
    first_bytes = [f"first_byte_{number:02}" for number in range(BUCKETS)]
    assert await sums(path, *durations) == [tuple(2 * (number == bucket) for number in range(BUCKETS))]
    assert await sums(path, *first_bytes) == [tuple(int(number == bucket) for number in range(BUCKETS))]


async def test_methods_that_clients_invent_are_one_row(tmp_path: Path) -> None:
    """Known methods are counted apart, all others together, so that clients cannot make rows."""
    path = tmp_path / "records.db"
    async with await SqliteStorage.open(path, durability="fast") as store:
        methods = ["GET", "POST", *(f"X{number}" for number in range(50)), None]
        await store.commit(make_batch(*[make_record(method=method) for method in methods]))
    assert sorted(await sums(path, "exchanges")) == [(1,), (1,), (51,)]
