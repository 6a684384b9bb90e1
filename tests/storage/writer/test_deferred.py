"""A store that comes later: refused until it is admitted, opened for as long as it takes."""

import asyncio
import inspect
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from storage.backends import open_storage
from storage.base import Storage
from storage.errors import (
    SchemaTooNew,
    StorageDamaged,
    StorageMisconfigured,
    StorageOpening,
    StorageRejected,
    StorageUnavailable,
)
from storage.query import CountQuery, Filter
from storage.record import Batch, Entry, Position
from storage.writer.deferred import REMOVED, DeferredStorage
from tests.storage.samples import make_record
from tests.support.memory_store import MemoryStorage

RING = b"r" * 16


class Opening:
    """Fails some times."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.store = MemoryStorage()

    async def __call__(self) -> Storage:
        """Fail, or open."""
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        return self.store


async def test_it_is_opened_in_the_end_and_used_when_it_is_enabled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Until then every call says why it is away; the same reason is logged once."""
    opening = Opening(
        *[StorageUnavailable("refused") for _ in range(4)], StorageUnavailable("starting up")
    )
    deferred = DeferredStorage(opening, retry_s=0.0)
    storage: Storage = deferred
    with pytest.raises(StorageOpening, match="the store is being opened"):
        await storage.last_seq()
    await deferred.open()
    assert await deferred.first_attempt(0.0)
    with pytest.raises(StorageUnavailable, match="starting up"):
        await storage.commit(Batch("sidecar-1", []))
    assert await deferred.opened() is opening.store
    deferred.enable()
    assert await storage.last_seq() == 0
    assert await storage.tool_calls_of(1) == []
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "the store is unavailable, retrying every 0 s",
        "the store is unavailable, retrying every 0 s",
        "the store is available now",
    ]
    await deferred.close()


async def test_each_call_reaches_the_method_of_its_name() -> None:
    """With the arguments that it was given."""
    called: list[tuple[str, tuple[object, ...]]] = []

    class Noting:
        def __getattr__(self, name: str) -> Callable[..., Awaitable[str]]:
            async def note(*arguments: object) -> str:
                called.append((name, arguments))
                return name

            return note

    async def open_store() -> Storage:
        return cast(Storage, Noting())

    deferred = DeferredStorage(open_store)
    await deferred.open()
    deferred.enable()
    names = [
        name
        for name, method in vars(Storage).items()
        if inspect.iscoroutinefunction(method) and not name.startswith("__") and name != "close"
    ]
    assert "commit" in names
    assert [await getattr(deferred, name)(name) for name in names] == names
    assert called == [(name, (name,)) for name in names]


async def test_the_first_look_is_bounded() -> None:
    """A store that neither answers nor refuses does not hold up the start."""

    async def hang() -> Storage:
        await asyncio.Event().wait()
        raise AssertionError

    deferred = DeferredStorage(hang)
    async with asyncio.TaskGroup() as tasks:
        opening = tasks.create_task(deferred.open())
        assert not await deferred.first_attempt(0.01)
        opening.cancel()

    await deferred.close()


async def test_an_address_that_is_refused_is_not_tried_again() -> None:
    """It is the configuration's fault."""
    with pytest.raises(StorageMisconfigured, match="port"):
        await DeferredStorage(Opening(StorageRejected("port"))).open()


async def test_a_store_of_a_newer_sidelog_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    """It is upgraded, or put aside; proxying goes on meanwhile."""
    deferred = DeferredStorage(Opening(SchemaTooNew(9, 6)), retry_s=0.0)
    await deferred.open()
    assert "written by a newer sidelog (layout 9" in caplog.text
    await deferred.close()


class Files:
    """Opens a SQLite store as a collector does."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "records.db"
        self.deferred = DeferredStorage(partial(open_storage, "sqlite:///records.db", directory))

    @asynccontextmanager
    async def running(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Storage]:
        """Open it, and watch."""
        monkeypatch.setattr("storage.writer.deferred.WATCH_S", 0.01)
        await self.deferred.open()
        self.deferred.enable()

        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self.deferred.watch())
            yield self.deferred
            watching.cancel()

        await self.deferred.close()

    async def become(self, state: str) -> None:
        """Wait until the handle has a state."""
        async with asyncio.timeout(30):
            while self.deferred.state != state:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.005)


@pytest.mark.parametrize("what", ["file", "directory", "other file"])
async def test_a_store_that_is_removed_is_away_and_nothing_takes_its_place(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    what: str,
) -> None:
    """Calls say why; a file that was put in its place is left alone."""
    files = Files(tmp_path / "data")
    async with files.running(monkeypatch) as storage:
        await storage.commit(batch(1))
        if what == "directory":
            shutil.rmtree(files.path.parent)
        else:
            files.path.unlink()
        if what == "other file":
            files.path.write_bytes(b"")
        await files.become("away")
        with pytest.raises(StorageUnavailable, match="restart sidelog"):
            await storage.commit(batch(2))
        if what == "other file":
            assert files.path.read_bytes() == b""
        else:
            assert not files.path.exists()

    assert caplog.text.count(REMOVED) == 1


async def test_a_store_that_is_brought_back_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all that was in it."""
    files = Files(tmp_path)
    aside = tmp_path / "aside.db"
    async with files.running(monkeypatch) as storage:
        await storage.commit(batch(1))
        files.path.rename(aside)
        await files.become("away")
        aside.rename(files.path)
        await files.become("open")
        assert await storage.commit(batch(2)) == 2
        assert (await storage.read(CountQuery(Filter(kind="all")))).exchanges == 2


async def test_a_store_that_turns_out_to_be_damaged_stays_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever commits learns what is wrong; what can be read is read."""
    files = Files(tmp_path)
    async with files.running(monkeypatch) as storage:
        await storage.commit(batch(1))
        store = await files.deferred.opened()

        async def damaged(batch: Batch) -> int:
            raise StorageDamaged("sqlite: database disk image is malformed")

        monkeypatch.setattr(store, "commit", damaged)
        with pytest.raises(StorageDamaged, match="malformed"):
            await storage.commit(batch(2))
        assert (await storage.read(CountQuery(Filter(kind="all")))).exchanges == 1

    assert files.path.exists()


def batch(taken: int) -> Batch:
    """Make a batch of one record of a ring."""
    return Batch("sidecar-1", [Entry(make_record())], {RING: Position(taken, taken, taken)})
