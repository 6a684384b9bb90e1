"""A store that comes later: refused until it is admitted, opened for as long as it takes."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

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
from storage.writer.deferred import DeferredStorage
from storage.writer.size_cap import SizeCap
from tests.contract.test_storage_keys import make_key
from tests.storage.samples import make_record
from tests.support.memory_store import MemoryStorage

RING = b"r" * 16


class Opening:
    """Fails some times."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.store = MemoryStorage()

    async def __call__(self, damage: str) -> Storage:
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


async def test_the_first_look_is_bounded() -> None:
    """A store that neither answers nor refuses does not hold up the start."""

    async def hang(damage: str) -> Storage:
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
    """Opens a SQLite store as a collector does, and notes what was told."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "records.db"
        self.set_aside: list[str] = []
        self.removed: list[int] = []
        self.deferred = DeferredStorage(self.open, 0.01, self.removed.append)

    async def open(self, damage: str) -> Storage:
        """Open, or set aside and open."""
        return await open_storage(
            "sqlite:///records.db",
            self.directory,
            damage=damage,
            on_set_aside=lambda place, reason: self.set_aside.append(place),
        )

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

    def put(self, other: Path) -> None:
        """Put another file into the place of the store's, as docs/operations/backup.md says, but
        while it is open.
        """
        for journal in ("-wal", "-shm"):
            self.path.with_name(self.path.name + journal).unlink(missing_ok=True)
        other.replace(self.path)

    async def replaced(self, why: str) -> None:
        """Wait until another store is there."""
        async with asyncio.timeout(30):
            while not self.deferred.replaced[why] or self.deferred.state != "open":  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.005)


def batch(taken: int, *more: Entry) -> Batch:
    """Make a batch of one record of a ring."""
    return Batch("sidecar-1", [Entry(make_record()), *more], {RING: Position(taken, taken, taken)})


@pytest.mark.parametrize("what", ["file", "directory", "other file"])
async def test_a_file_that_is_removed_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Its records are counted; keys and positions go on in a new one, so that nothing is stored
    twice.
    """
    files = Files(tmp_path / "data")
    async with files.running(monkeypatch) as storage:
        for taken in range(1, 4):
            await storage.commit(batch(taken))
        await storage.create_key(make_key("key"))
        if what == "directory":
            shutil.rmtree(files.directory)
        else:
            files.path.unlink()

        if what == "other file":
            sqlite3.connect(files.path).close()
        await files.replaced("removed")
        assert files.removed == [3]
        assert await storage.positions("sidecar-1") == {RING: Position(3, 3, 3)}
        assert [key.id for key in await storage.keys()] == ["key"]
        assert (await storage.read(CountQuery(Filter(kind="all")))).exchanges == 0
        assert await storage.commit(batch(4)) == 4
        assert files.path.exists()


async def test_a_file_that_turns_out_to_be_damaged_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The batch that met it is stored in the new one; the old one is there under another name."""
    files = Files(tmp_path)
    async with files.running(monkeypatch) as storage:
        await storage.commit(batch(1))
        store = await files.deferred.opened()
        commit = store.commit

        async def damaged(batch: Batch) -> int:
            raise StorageDamaged("sqlite: database disk image is malformed")

        monkeypatch.setattr(store, "commit", damaged)
        with pytest.raises(StorageDamaged):
            await storage.commit(batch(2))
        with pytest.raises(StorageUnavailable, match="malformed"):
            await storage.last_seq()
        await files.replaced("damaged")
        assert await storage.positions("sidecar-1") == {RING: Position(1, 1, 1)}
        assert await storage.commit(batch(2)) == 2
        assert commit is not None

    (place,) = files.set_aside
    async with await open_storage(
        f"sqlite:///{Path(place).name}", tmp_path, is_read_only=True
    ) as old:
        assert (await old.read(CountQuery(Filter(kind="all")))).exchanges == 1

    assert "the store is damaged" in caplog.text


async def zeroed_file(files: Files, records: int = 3000) -> None:
    """Make a store whose oldest records are in a page of zeros."""
    files.directory.mkdir(exist_ok=True)
    async with await files.open("") as store:
        first = Entry(make_record(path="/the-first-of-all"))
        await store.commit(
            Batch("sidecar-1", [first, *(Entry(make_record()) for _ in range(records))], {})
        )

    raw = bytearray(files.path.read_bytes())
    page_bytes = int.from_bytes(raw[16:18], "big")
    place = raw.index(b"/the-first-of-all") // page_bytes * page_bytes
    raw[place : place + page_bytes] = bytes(page_bytes)
    files.path.write_bytes(raw)


async def test_a_file_whose_oldest_records_are_damaged_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cap on size looks at them before each batch: none could be committed any more."""
    files = Files(tmp_path)
    await zeroed_file(files)
    async with files.running(monkeypatch) as storage:
        cap = SizeCap(storage, 1 << 30)
        with pytest.raises(StorageDamaged):
            await cap.make_room(1, 100)
        await files.replaced("damaged")
        await cap.make_room(1, 100)
        assert await storage.commit(batch(1)) > 3000

    assert len(files.set_aside) == 1


async def test_damage_that_is_met_before_it_is_enabled_is_mended_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for the store to read its positions gets the new one, and enables that."""
    files = Files(tmp_path)
    monkeypatch.setattr("storage.writer.deferred.WATCH_S", 0.01)
    await files.deferred.open()

    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(files.deferred.watch())
        before = await files.deferred.opened()
        files.deferred.note_damage(StorageDamaged("sqlite: database disk image is malformed"))
        async with asyncio.timeout(30):
            assert await files.deferred.opened() is not before
        assert files.deferred.state == "away"
        files.deferred.enable()
        assert await files.deferred.commit(batch(1)) == 1
        watching.cancel()

    await files.deferred.close()


async def test_a_store_that_cannot_be_replaced_yet_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that cannot be made delays it; what was kept is not lost."""
    files = Files(tmp_path / "data")
    async with files.running(monkeypatch) as storage:
        await storage.commit(batch(1))
        shutil.rmtree(files.directory)
        files.directory.write_text("in the way")
        async with asyncio.timeout(30):
            while files.deferred.state == "open":  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        files.directory.unlink()
        await files.replaced("removed")
        assert await storage.positions("sidecar-1") == {RING: Position(1, 1, 1)}


async def test_a_file_of_a_newer_sidelog_in_its_place_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing ends for it: it may go again, or this program be upgraded."""
    files = Files(tmp_path / "data")
    async with files.running(monkeypatch) as storage:
        await storage.commit(batch(1))
        newer = tmp_path / "newer.db"
        with closing(sqlite3.connect(newer)) as connection:
            connection.execute("PRAGMA user_version = 99")
        files.put(newer)
        async with asyncio.timeout(30):
            while "newer sidelog" not in files.deferred.reason:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.005)
        files.path.unlink()
        await files.replaced("removed")
        assert await storage.commit(batch(2)) == 2


async def test_another_store_in_its_place_goes_on_behind_its_own_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when somebody brings back a backup that has more than what was stored since: nothing of
    either is refused.
    """
    async with await open_storage("sqlite:///backup.db", tmp_path) as backup:
        for taken in range(1, 6):
            await backup.commit(batch(taken))
        await backup.create_key(make_key("older"))

    files = Files(tmp_path / "data")
    async with files.running(monkeypatch) as storage:
        await storage.commit(batch(1))
        await storage.create_key(make_key("newer"))
        files.put(tmp_path / "backup.db")
        await files.replaced("removed")
        assert await storage.commit(batch(2)) == 6
        assert (await storage.read(CountQuery(Filter(kind="all")))).exchanges == 6
        assert {key.id for key in await storage.keys()} == {"older", "newer"}
        assert await storage.positions("sidecar-1") == {RING: Position(2, 2, 2)}
