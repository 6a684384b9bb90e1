"""Starting a collector: a store that is away is waited for, and a stop ends the wait."""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from proxy.collector.control_plane import control_plane
from proxy.collector.watch.status import describe_retention
from proxy.process.data_dir import DataDir
from proxy.process.wakeup import Wakeup
from proxy.settings.model import RingSettings, Settings, StorageSettings
from storage.backends import open_storage
from storage.query import Filter, RecordQuery
from storage.record import Batch, Entry, now_us
from storage.writer.retention import Limits, Retention
from storage.writer.size_cap import SizeCap
from tests.storage.samples import make_record
from tests.support.collecting import until
from tests.support.memory_store import MemoryStorage
from tests.support.ports import free_port
from tests.support.rings import SETTINGS, RingWorker

DAY_US = 86_400_000_000


@pytest.fixture
def wakeup() -> Iterator[Wakeup]:
    """A wake-up; nothing stays open."""
    before = set(os.listdir("/proc/self/fd"))
    made = Wakeup.create()
    yield made
    made.close()
    assert set(os.listdir("/proc/self/fd")) <= before


@pytest.fixture
def rings(tmp_path: Path) -> Path:
    """The directory of rings, which is empty."""
    made = tmp_path / "rings"
    made.mkdir()
    return made


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    """A data directory."""
    return DataDir(tmp_path, "sidecar-1", "token", -1)


def settings(tmp_path: Path, **storage: Any) -> Settings:
    """Rings and store below one directory."""
    return Settings(
        routes=SETTINGS.routes,
        data_dir=str(tmp_path),
        ring=RingSettings(bytes=1 << 20, directory=str(tmp_path / "rings")),
        storage=StorageSettings(**({"url": "sqlite:///sidelog.db"} | storage)),
    )


async def test_leaving_empties_the_rings_of_the_gone(
    tmp_path: Path, wakeup: Wakeup, rings: Path, data: DataDir
) -> None:
    """What a dead worker left is stored before the store is closed, and its ring is unlinked."""
    worker = RingWorker(rings)
    worker.record(50)
    (rings / "abandoned.new").write_bytes(b"")
    worker.die()

    async with control_plane(settings(tmp_path), data, wakeup, rings) as plane:
        assert plane.readiness.answer() == (True, {"draining": False, "degraded": False})
        plane.status.start_draining()
        assert plane.readiness.answer()[0] is False

    assert os.listdir(rings) == []
    async with control_plane(settings(tmp_path), data, wakeup, rings) as plane:
        ledger = await plane.ledger()
        assert (ledger.received, ledger.stored, ledger.is_balanced) == (50, 50, True)


async def test_what_is_not_stored_in_time_is_told(
    tmp_path: Path, wakeup: Wakeup, rings: Path, data: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process keeps the database locked, and there is no spool: the ring keeps all, which
    is counted.
    """
    monkeypatch.setattr("proxy.collector.control_plane.CLOSE_S", 0.2)
    worker = RingWorker(rings)
    without_spool = settings(tmp_path, durability="fast")

    with closing(sqlite3.connect(tmp_path / "sidelog.db", timeout=60)) as other:
        async with control_plane(without_spool, data, wakeup, rings) as plane:
            other.execute("BEGIN IMMEDIATE")
            worker.record(3)
            worker.die()
            await until(lambda: plane.writer.waiting_records == 3)
        assert plane.unsettled_records == 3

    async with control_plane(without_spool, data, wakeup, rings) as plane:
        await until(lambda: not plane.sources.attached)
        assert (await plane.ledger()).stored == 3
    assert plane.unsettled_records == 0


async def test_what_is_still_in_rings_is_told(tmp_path: Path, rings: Path, data: DataDir) -> None:
    """A store that never came, and no spool: nothing was taken, and the next start will find it."""
    worker = RingWorker(rings)
    url = f"postgres://nobody@127.0.0.1:{free_port()}/none"
    without_spool = settings(tmp_path, url=url, durability="fast")

    wakeup = Wakeup.create()
    async with control_plane(without_spool, data, wakeup, rings) as plane:
        worker.record(3)
        worker.die()
        await until(lambda: plane.sources.attached)

    wakeup.close()
    assert plane.unsettled_records == 3


async def test_rings_are_attached_before_the_lost_are_counted(
    tmp_path: Path, wakeup: Wakeup, data: DataDir
) -> None:
    """An anonymous ring that its holder still offers is not lost, although it has no file."""
    worker = RingWorker(None)
    worker.record(3)

    for expected in (3, 5):
        async with control_plane(
            settings(tmp_path),
            data,
            wakeup,
            tmp_path,
            lambda sources, *_: sources.attach_fd(worker.segment.fd),
        ) as plane:
            async with asyncio.timeout(60):
                while (await plane.ledger()).stored < expected:  # noqa: ASYNC110 - a commit sends no event
                    await asyncio.sleep(0.005)
            plane.drain._is_stopping = True  # a worker that still lives is not waited for
            plane.sources.close()

        worker.record(2)

    assert expected == 5
    worker.die()


async def test_deletions_are_events(
    tmp_path: Path, wakeup: Wakeup, rings: Path, data: DataDir
) -> None:
    """Those of age and those of the cap on size."""
    async with control_plane(settings(tmp_path), data, wakeup, rings) as plane:
        plane.retention._on_deleted({"reason": "age", "rows": 1})
        plane.size_cap.on_deleted({"reason": "size", "rows": 7})

    async with await open_storage("sqlite:///sidelog.db", tmp_path) as store:
        page = await store.read(RecordQuery(filter=Filter(kind="event"), order="asc", limit=10))

    told = [msgspec.json.decode(record.data or b"") for record in page.records]
    assert [(report["reason"], report["rows"]) for report in told] == [("age", 1), ("size", 7)]
    assert {record.name for record in page.records} == {"retention"}


async def test_the_size_shown_is_that_of_the_last_look() -> None:
    """While the cap takes slices, for minutes perhaps, that is its own; retention looks once a
    minute.
    """
    async with MemoryStorage() as store:
        await store.commit(Batch("sidecar-1", [Entry(make_record())]))
        retention = Retention(store, Limits())
        size_cap = SizeCap(store, 1 << 40)
        assert describe_retention(retention, size_cap)["used_bytes"] is None
        size_cap.used_bytes = 7
        size_cap.looked_at_us = now_us()
        shown = describe_retention(retention, size_cap)
        assert shown | {"used_bytes": 7, "looked_at_ms": size_cap.looked_at_us // 1000} == shown
        await retention.tidy()
        assert (
            describe_retention(retention, size_cap)["used_bytes"]
            == (await store.retention()).used_bytes
        )
        await size_cap.make_room(1, 1 << 40)
        assert size_cap.used_bytes == (await store.retention()).used_bytes


@pytest.mark.parametrize(("max_age_days", "left"), [(2.0, 1), (0.0, 2)])
async def test_retention_is_reported(max_age_days: float, left: int) -> None:
    """What is older than the setting goes, and the log says how much and until when; 0 keeps
    everything.
    """
    reports: list[dict[str, Any]] = []
    async with MemoryStorage() as store:
        old = make_record(started_at_us=now_us() - 3 * DAY_US)
        new = make_record(started_at_us=now_us())
        await store.commit(Batch("sidecar-1", [Entry(old), Entry(new)]))
        retention = Retention(store, Limits.of(max_age_days, 0), reports.append)
        size_cap = SizeCap(store, 0)
        assert describe_retention(retention, size_cap)["looked_at_ms"] is None
        await retention.tidy()
        shown = describe_retention(retention, size_cap)
        assert shown["oldest_ms"] == (new if left == 1 else old).started_at_us // 1000
        assert shown | {"rows_purged": 2 - left, "lag_s": 0.0, "used_bytes": 0} == shown
        assert (await store.info()).rows == left

    if left == 2:
        assert reports == []
    else:
        assert [report["rows"] for report in reports] == [1]
