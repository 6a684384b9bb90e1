"""The answer of /readyz names everything that keeps traffic away, and what is only waited for."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from proxy.collector.watch import readiness
from proxy.collector.watch.readiness import Readiness
from proxy.collector.watch.watched_paths import DATA_DIR, WatchedPaths
from proxy.collector.watch.workers import GRACE_S, Workers

READY = '[{"name": "worker 0", "pid": 7, "ready": true, "ring": "00"}]'


class Fake:
    """A status and a writer."""

    is_draining = False
    is_storage_up = True
    state = "away"
    reason = ""

    @property
    def deferred(self) -> "Fake":
        """The store."""
        return self


class World:
    """A readiness over fakes."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.fake = Fake()
        self.places = WatchedPaths({}, {})
        anything: Any = self.fake
        self.workers = Workers({}, lambda: self.now_s)
        self.readiness = Readiness(anything, anything, self.workers, self.places, anything)

    def other(self, **options: Any) -> Readiness:
        """Another over the same."""
        anything: Any = self.fake
        return Readiness(anything, anything, self.workers, self.places, anything, **options)


def test_without_a_supervisor_one_who_answers_is_ready() -> None:
    """All in one process."""
    assert World().readiness.answer() == (True, {"draining": False, "degraded": False})


def test_without_a_worker_nobody_is_ready() -> None:
    """The first worker that accepts makes it ready."""
    world = World()
    world.workers.update("[]")
    assert world.readiness.answer() == (
        False,
        {
            "draining": False,
            "degraded": False,
            "workers_ready": 0,
            "rings_unread": 0,
            "reasons": ["no worker accepts connections"],
        },
    )
    world.workers.update(READY)
    assert world.readiness.answer()[0]


def test_a_worker_that_does_not_answer_keeps_traffic_away() -> None:
    """Though another one accepts: a part of all new connections waits for the first."""
    world = World()
    workers = [
        {"name": f"worker {index}", "pid": index, "ready": True, "ring": "", "silent": index == 0}
        for index in range(2)
    ]
    world.workers.update(json.dumps(workers))
    is_ready, members = world.readiness.answer()
    assert (is_ready, members["workers_ready"]) == (False, 1)
    assert members["reasons"] == ["worker 0 does not answer, and clients wait for it"]


def test_a_ring_nobody_reads_keeps_traffic_away() -> None:
    """Exchanges would be answered and not recorded."""
    world = World()
    world.workers.update(READY)
    world.workers.look()
    world.now_s += GRACE_S
    world.workers.look()
    is_ready, members = world.readiness.answer()
    assert not is_ready
    assert members["rings_unread"] == 1
    assert members["reasons"] == [
        "the ring of worker 0 is unread: its records are lost when it ends"
    ]


def test_without_a_data_port_no_worker_is_missed() -> None:
    """A sidelog that only shows records of others is ready without a worker."""
    world = World()
    world.workers.update("[]")
    readiness = world.other(has_data_port=False)
    assert readiness.answer() == (True, {"draining": False, "degraded": False, "data_port": False})
    world.fake.reason = "refused"
    assert readiness.answer()[1]["away"] == ["store"]


def test_a_stop_and_a_store_that_is_away_are_told_apart() -> None:
    """A stop makes it not ready, a store that is away only degraded."""
    world = World()
    world.fake.is_storage_up = False
    expected = {
        "draining": False,
        "degraded": True,
        "away": ["store"],
        "reasons": ["the store is away"],
    }
    assert world.readiness.answer() == (True, expected)
    world.fake.is_draining = True
    expected = {**expected, "draining": True, "reasons": ["it is stopping", "the store is away"]}
    assert world.readiness.answer() == (False, expected)


def test_a_place_that_was_removed_degrades(tmp_path: Path) -> None:
    """Everything goes on, until the next start."""
    world = World()
    (tmp_path / "data").mkdir()
    world.places.__init__({DATA_DIR: tmp_path / "data"}, {})  # type: ignore[misc]
    (tmp_path / "data").rmdir()
    world.places.look()
    expected = {
        "draining": False,
        "degraded": True,
        "gone": ["data directory"],
        "reasons": ["the data directory was removed: restart"],
    }
    assert world.readiness.answer() == (True, expected)


async def test_it_looks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unread ring is found without a request."""
    monkeypatch.setattr(readiness, "LOOK_EVERY_S", 0.001)
    world = World()
    world.workers.update(READY)

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(world.readiness.run(), name="looking")
        while not world.workers.unread:
            world.now_s += GRACE_S
            await asyncio.sleep(0.001)
        looking.cancel()

    assert not world.readiness.answer()[0]
