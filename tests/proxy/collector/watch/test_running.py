"""What runs is read from shared memory at the moment of asking."""

from pathlib import Path

from proxy.collector.watch.running import Running
from proxy.enrich.records import RecordBuilder
from tests.support.memory_store import MemoryStorage
from tests.support.rings import INSTANCE, SETTINGS, RingWorker, collecting


async def test_what_runs_is_shown_while_its_worker_lives(
    tmp_path: Path, worker: RingWorker
) -> None:
    """A preliminary record for each exchange of a living worker; those of a dead one are the
    drain's.
    """
    shown = worker.show(worker.begin("/slow?token=secret"))
    async with collecting(tmp_path, MemoryStorage(), is_draining=False) as plane:
        running = Running(plane.sources, RecordBuilder(INSTANCE, SETTINGS))
        ((record, payload),) = [(entry.record, entry.payload) for entry in running.exchanges()]
        assert payload is not None
        assert payload.request_head.startswith(b"GET /slow?token=[REDACTED] HTTP/1.1")
        assert (record.id, record.path, record.query, record.status) == (
            shown,
            "/slow",
            "token=[REDACTED]",
            None,
        )
        worker.die()
        assert running.exchanges() == []
