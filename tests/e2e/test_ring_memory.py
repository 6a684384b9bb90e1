"""Rings of all generations together take no more than twice what those of one do, whatever comes
when.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from proxy.process.shared_memory import RING_OVERHEAD_BYTES, allocated_bytes
from proxy.supervisor.ring_room import LEAN_RING_BYTES
from tests.e2e.test_processes import is_alive, stored
from tests.e2e.test_rings import rings_of
from tests.e2e.test_store_away import locked
from tests.support.load import PAUSE_S, Load, await_more
from tests.support.long import long
from tests.support.sidelog import Sidelog, await_pids, eventually

MIB = 1 << 20
RING_BYTES = 64 * MIB
QUEUE_BYTES = 16 * MIB
ENVIRON = {
    "SIDELOG_RING__BYTES": str(RING_BYTES),
    "SIDELOG_STORAGE__QUEUE_MAX_BYTES": str(QUEUE_BYTES),
}
BOUND_BYTES = 2 * (RING_BYTES + RING_OVERHEAD_BYTES) + QUEUE_BYTES + LEAN_RING_BYTES
"""As docs/operations/production.md says, with one old worker that is about to end."""


class Most:
    """The most that rings in a directory took at any time."""

    def __init__(self, directory: Path) -> None:
        """Look at it from the beginning of a `with` to its end."""
        self.taken_bytes = 0
        self._directory = directory
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        self._is_stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_stopping.wait(0.005):
            self.taken_bytes = max(self.taken_bytes, allocated_bytes(self._directory, ()))


def reloads_done(sidelog: Sidelog) -> int:
    """How many there were."""
    return sidelog.log.count('"message": "reloaded')


def hang_up(sidelog: Sidelog, times: int, pause_s: float) -> None:
    """Ask for reloads, one soon after the other."""
    assert sidelog.process is not None
    for _ in range(times):
        os.kill(sidelog.process.pid, signal.SIGHUP)
        time.sleep(pause_s)


@pytest.mark.long
@pytest.mark.parametrize("is_locked", [False, True])
@pytest.mark.parametrize(("times", "pause_s"), [(8, 0.3), (500, 0.02)])
def test_a_burst_of_reloads(
    tmp_path: Path, upstream: str, *, is_locked: bool, times: int, pause_s: float
) -> None:
    """Those that come while one runs are one; the newest comes into force, and every exchange is
    stored once.
    """
    with Sidelog(tmp_path / "data", upstream, environ=ENVIRON) as sidelog:
        database = tmp_path / "data" / "sidelog.db"
        with Load(sidelog.port, pause_s=PAUSE_S) as load, Most(rings_of(sidelog)) as most:
            await_more(load.completed, 20)
            with locked(database) if is_locked else nullcontext():
                hang_up(sidelog, times, pause_s)
                eventually(lambda: reloads_done(sidelog) >= 2)
                await_more(load.completed, 20)

        assert load.errors == 0
        assert most.taken_bytes <= BOUND_BYTES
        assert reloads_done(sidelog) < times
        eventually(sidelog.is_ready)
        assert stored(sidelog, load.completed)["dropped"] == {}
        eventually(lambda: len(sidelog.pids("proxy.worker")) == 1)


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """Hold a process."""
    os.kill(pid, signal.SIGSTOP)
    yield
    os.kill(pid, signal.SIGCONT)


def is_replaced(sidelog: Sidelog, worker: int) -> bool:
    """Whether another one has taken the place of a worker that was killed."""
    return not is_alive(worker) and bool(sidelog.pids("proxy.worker"))


@pytest.mark.parametrize("is_locked", [long(False), True])
def test_a_start_beside_rings_that_others_left(
    tmp_path: Path, upstream: str, *, is_locked: bool
) -> None:
    """New ones take memory as they fill, so that clients need not wait until those are drained;
    nothing is lost.
    """
    with Sidelog(tmp_path / "data", upstream, environ=ENVIRON) as sidelog:
        database = tmp_path / "data" / "sidelog.db"
        rings = rings_of(sidelog)
        with (
            Load(sidelog.port, pause_s=PAUSE_S) as load,
            paused(sidelog.pids("proxy.collector")[0]),
        ):
            for _ in range(4):
                await_more(load.completed, 20)
                (worker,) = await_pids(sidelog, "proxy.worker")
                os.kill(worker, signal.SIGKILL)
                eventually(partial(is_replaced, sidelog, worker))

            await_more(load.completed, 20)
            load.stop()
            sidelog.kill_all()

        left_bytes = allocated_bytes(rings, ())
        assert left_bytes > 4 * RING_BYTES
        with Most(rings) as most, locked(database) if is_locked else nullcontext():
            sidelog.start()
        assert most.taken_bytes <= left_bytes + RING_OVERHEAD_BYTES + MIB
        assert (
            "rings of the last run are not drained yet: new ones take memory as they fill"
            in sidelog.log
        )
        stored(sidelog, load.completed)
        eventually(lambda: len(list(rings.glob("*.ring"))) == 1)
