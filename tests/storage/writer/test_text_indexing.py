"""The task that makes the index of words: its pace, and what it does when the store is away."""

import asyncio

import pytest

from storage.errors import StorageUnavailable
from storage.purge import TextIndex, TextStep
from storage.query import Filter, RecordQuery
from storage.record import Batch, Entry
from storage.sqlite.store import SqliteStorage
from storage.writer import text_indexing
from storage.writer.text_indexing import AWAY_S, BEHIND_RECORDS, ENOUGH_RECORDS, IDLE_S, REST_S, TextIndexing
from tests.storage.samples import make_record
from tests.support.memory_store import MemoryStorage


class Scripted(MemoryStorage):
    """A store whose steps are given."""

    def __init__(self, *steps: TextStep | Exception) -> None:
        super().__init__()
        self._steps = list(steps)

    async def index_text(self) -> TextStep:
        """Give the next step."""
        step = self._steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


async def test_it_rests_as_long_as_it_worked() -> None:
    """Where nothing is stored half of the time is for others; when nothing is left it looks once a second."""
    times = iter((10.0, 10.02, 20.0, 29.0))
    store = Scripted(TextStep(100, is_done=False), TextStep(7, is_done=False), TextStep(0, is_done=True))
    indexing = TextIndexing(store, monotonic=lambda: next(times, 40.0))
    assert await indexing.step() == pytest.approx(0.02)
    assert await indexing.step() == 0.25
    assert await indexing.step() == IDLE_S
    assert indexing.records == 107


async def test_it_takes_a_fifth_beside_traffic() -> None:
    """Records that wait before a step, or come while it is made, make its pause four times as long."""
    times = iter((10.0, 10.02, 20.0, 20.05, 30.0, 30.04, 40.0, 49.0))
    waiting = iter((3, 0, 7, 0, 0, BEHIND_RECORDS))
    store = Scripted(*[TextStep(100, is_done=False)] * 4)
    indexing = TextIndexing(store, lambda: next(waiting), monotonic=lambda: next(times))
    assert await indexing.step() == pytest.approx(0.08)
    assert await indexing.step() == pytest.approx(0.2)
    assert await indexing.step() == pytest.approx(0.04)
    assert await indexing.step() == AWAY_S


async def test_records_that_wait_come_first() -> None:
    """While more of them wait than a batch gathers nothing is indexed; when they are stored it goes on."""
    waiting = [BEHIND_RECORDS + 1]
    indexing = TextIndexing(Scripted(TextStep(100, is_done=True)), lambda: waiting[0])
    assert [await indexing.step() for _ in range(3)] == [REST_S] * 3
    assert indexing.records == 0
    waiting[0] = BEHIND_RECORDS
    assert await indexing.step() == IDLE_S
    assert indexing.records == 100


async def test_enough_that_is_committed_ends_its_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store holds what was committed last at hand, but only so much of it."""
    monkeypatch.setattr(text_indexing, "IDLE_S", 300.0)
    stepped = asyncio.Event()

    class Told(MemoryStorage):
        async def index_text(self) -> TextStep:
            stepped.set()
            return TextStep(0, is_done=True)

    indexing = TextIndexing(Told())
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(indexing.run(), name="indexing")
        await stepped.wait()
        for _ in range(3):
            stepped.clear()
            await asyncio.sleep(0.01)
            batch = Batch("sidecar-1", [Entry(make_record())] * (ENOUGH_RECORDS - 1))
            indexing.on_commit(batch, 1)
            await asyncio.sleep(0.01)
            assert not stepped.is_set()
            indexing.on_commit(Batch("sidecar-1", [Entry(make_record())]), 2)
            await stepped.wait()
        running.cancel()


async def test_it_leaves_the_index_to_a_quicker_one(caplog: pytest.LogCaptureFixture) -> None:
    """Another sidecar of the same database makes it then; a store that is away is asked again, and told of once."""
    store = Scripted(
        TextStep(0, is_done=False, is_lost=True), StorageUnavailable("gone"), StorageUnavailable("gone"),
        TextStep(0, is_done=True),
    )  # fmt: skip
    indexing = TextIndexing(store)
    assert [await indexing.step() for _ in range(4)] == [AWAY_S, AWAY_S, AWAY_S, IDLE_S]
    assert caplog.text.count("the index of words waits for the store: gone") == 1
    assert indexing.errors == 2


async def test_an_index_that_is_not_wanted_goes() -> None:
    """Turned off, nothing is left of it, and searches find what they found."""
    async with await SqliteStorage.open(None) as store:
        await store.commit(Batch("sidecar-1", [Entry(make_record(path=f"/a/x{number}/b")) for number in range(3000)]))
        wanted = TextIndexing(store)
        while await wanted.step() != IDLE_S:
            pass
        assert wanted.records == 2048
        assert wanted.describe()["enabled"]
        assert (await store.text_index()).size_bytes
        unwanted = TextIndexing(store, is_wanted=False)
        while await unwanted.step() != IDLE_S:
            pass
        assert await store.text_index() == TextIndex(waiting=3000, size_bytes=0)
        assert unwanted.describe() == {"enabled": False, "waiting_records": None, "size_bytes": 0}
        found = await store.select(RecordQuery(filter=Filter(text="/x7/", kind="all")))
        assert [record.path for record in found.records] == ["/a/x7/b"]
