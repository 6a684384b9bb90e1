"""A collector over the ring of a live worker, with a store that can be taken away, without
processes.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import pytest

from proxy.collector.control_plane import ControlPlane, control_plane
from proxy.collector.startup import SPOOL_DIRECTORY
from proxy.process.data_dir import DataDir
from proxy.process.wakeup import Wakeup
from proxy.settings.model import RingSettings, Settings, StorageSettings
from storage.backends import open_storage
from storage.base import Storage
from storage.errors import StorageUnavailable
from storage.query import Filter, RecordQuery
from storage.record import Record
from storage.writer.spool_replay import POSITIONS_FILE
from storage.writer.writer import Writer
from tests.contract.backends import Backend
from tests.support.rings import INSTANCE, SETTINGS, RingWorker

QUEUE_BYTES: Final = 128 << 10
"""Of a place whose store leaves: 200 records are more than that."""


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
    async def collecting(self, *, is_killed: bool = False) -> AsyncIterator[ControlPlane]:
        """Run a collector; the worker outlives it. One that is killed settles nothing."""
        wakeup = Wakeup.create()
        try:
            async with control_plane(
                self.settings, self.data, wakeup, self.path / "rings"
            ) as plane:
                yield plane
                plane.is_handing_over = True
                if is_killed:
                    plane.writer = cast(Writer, KilledWriter(plane.writer))
        finally:
            wakeup.close()

    async def stored(self) -> list[Record]:
        """Read the store."""
        async with await open_storage(self.settings.storage.url, self.path) as storage:
            return await everything(storage)


class KilledWriter:
    """The writer of a collector that was killed: what it has not committed is forgotten."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    async def close(self, deadline_s: float) -> int:
        """Leave everything where it is."""
        return 0


class Leaving:
    """A store that is away whenever its place says so."""

    def __init__(self, store: Storage, place: "LeavingPlace") -> None:
        self._store = store
        self._place = place

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name == "close" or not callable(found):
            return found

        async def ask(*arguments: Any, **options: Any) -> Any:
            if self._place.is_away:
                raise StorageUnavailable("away for the test")
            return await found(*arguments, **options)

        return ask


class LeavingPlace(Place):
    """A place whose store is of any backend."""

    is_away = False

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch, backend: Backend) -> None:
        super().__init__(path, monkeypatch)
        storage = msgspec.structs.replace(self.settings.storage, queue_max_bytes=QUEUE_BYTES)
        self.settings = msgspec.structs.replace(self.settings, storage=storage)
        self._backend = backend

        async def open_store(*arguments: Any, **options: Any) -> Any:
            if self.is_away:
                raise StorageUnavailable("away for the test")
            return Leaving(await self.open(), self)

        monkeypatch.setattr("proxy.collector.startup.open_storage", open_store)
        self.store_path = path

    def take_away(self) -> None:
        """Let no question be answered any more."""
        self.is_away = True

    def bring_back(self) -> None:
        """Undo it."""
        self.is_away = False

    async def open(self) -> Storage:
        """Open the store itself."""
        return await self._backend.open(self.store_path)


async def everything(storage: Storage) -> list[Record]:
    """Read all records of a store, oldest first."""
    query = RecordQuery(filter=Filter(kind="all"), order="asc", limit=10_000)
    return (await storage.read(query)).records


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
