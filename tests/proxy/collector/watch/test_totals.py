"""The metrics read the sums over all workers, and which processes there are."""

import os
from pathlib import Path

import msgspec

from proxy.collector.watch.totals import process_ids, worker_totals
from proxy.collector.watch.workers import Workers, WorkerShown
from tests.support.memory_store import MemoryStorage
from tests.support.rings import RingWorker, collecting


async def test_totals_add_up_over_workers(tmp_path: Path) -> None:
    """Metrics see all workers as one, and each ring by its own."""
    workers = [RingWorker(tmp_path) for _ in range(2)]
    for worker in workers:
        worker.record(2)
    async with collecting(tmp_path, MemoryStorage(), is_draining=False) as plane:
        totals = worker_totals(plane.sources, 0)
        assert totals.requests == {("shop", "GET", "2xx"): 4}
        assert len(totals.ring_bytes) == 2
        assert all(used > 0 for used in totals.ring_bytes.values())
        assert totals.ring_capacity_bytes == 1 << 20
    for worker in workers:
        worker.die()


def test_the_processes_are_those_the_supervisor_names() -> None:
    """A worker that leaves beside its successor has a name of its own; with one process there is one name."""
    workers = Workers({})
    assert process_ids(workers) == {"sidelog": os.getpid()}
    shown = [
        WorkerShown(name="worker 0", pid=11, ready=True, ring=""),
        WorkerShown(name="worker 0", pid=12, ready=True, ring="", leaving=True),
        WorkerShown(name="worker 1", pid=None, ready=False, ring=""),
    ]
    workers.update(msgspec.json.encode(shown))
    assert process_ids(workers) == {
        "supervisor": os.getppid(), "collector": os.getpid(), "worker 0": 11, "worker 0 leaving": 12,
    }  # fmt: skip
    workers.update(msgspec.json.encode([WorkerShown(name="worker 0", pid=os.getpid(), ready=True, ring="")]))
    assert process_ids(workers) == {"sidelog": os.getpid()}
