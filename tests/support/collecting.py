"""A collector over the ring of a live worker, with a store that can be taken away, without
processes.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proxy.collector.control_plane import ControlPlane, control_plane
from proxy.collector.startup import SPOOL_DIRECTORY
from proxy.process.data_dir import DataDir
from proxy.process.wakeup import Wakeup
from proxy.settings.model import RingSettings, Settings, StorageSettings
from storage.backends import open_storage
from storage.query import Filter, RecordQuery
from storage.record import Record
from storage.writer.spool_replay import POSITIONS_FILE
from tests.support.rings import INSTANCE, SETTINGS, RingWorker


class Place:
    """A data directory, a live worker's ring, and a store that can be taken away."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("proxy.collector.startup.RETRY_S", 0.01)
        self.path = path
        self.settings = Settings(
            routes=SETTINGS.routes,
            data_dir=str(path),
            ring=RingSettings(bytes=1 << 20, directory=str(path / "rings")),
            storage=StorageSettings(url="sqlite:///store/sidelog.db"),
        )
        self.data = DataDir(path, INSTANCE, "token", -1)
        (path / "rings").mkdir()
        self.worker = RingWorker(path / "rings")
        self.noted = path / SPOOL_DIRECTORY / POSITIONS_FILE
        (path / "here").mkdir()
        self.bring_back()

    def take_away(self) -> None:
        """Put a file where the store's directory is."""
        (self.path / "nothing").write_text("")
        self._point_to("nothing")

    def bring_back(self) -> None:
        """Undo it."""
        self._point_to("here")

    def _point_to(self, name: str) -> None:
        # A link is replaced at once: a collector that looks meanwhile does not find nothing, and
        # make it.
        (self.path / "link").symlink_to(name)
        (self.path / "link").replace(self.path / "store")

    @asynccontextmanager
    async def collecting(self) -> AsyncIterator[ControlPlane]:
        """Run a collector; the worker outlives it."""
        wakeup = Wakeup.create()
        try:
            async with control_plane(
                self.settings, self.data, wakeup, self.path / "rings"
            ) as plane:
                yield plane
                plane.is_handing_over = True
        finally:
            wakeup.close()

    async def stored(self) -> list[Record]:
        """Read the store."""
        async with await open_storage(self.settings.storage.url, self.path) as storage:
            page = await storage.read(
                RecordQuery(filter=Filter(kind="all"), order="asc", limit=10_000)
            )
        return page.records


async def until(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)


async def settled(plane: ControlPlane, stored: int) -> None:
    """Wait until so much is stored; the ledger balances all the time, and nothing waits or was
    dropped in the end.
    """
    async with asyncio.timeout(60):
        while True:
            ledger = await plane.ledger()
            assert ledger.is_balanced, ledger
            if ledger.stored >= stored and not ledger.waiting and not ledger.spooled:
                break
            await asyncio.sleep(0.005)

    assert (ledger.stored, ledger.dropped) == (stored, {})


async def taken(plane: ControlPlane, place: Place, count: int) -> None:
    """Wait until the collector has read so many entries."""
    await until(lambda: plane.sources.attached[place.worker.source].position.taken >= count)
