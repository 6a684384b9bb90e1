"""The offset of the tail's ids: numbers go on over restarts and are never given twice."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access.snapshot_cursor import SnapshotCursors, SnapshotPosition
from api.native.records import encode_record
from api.stream.tail import Tail
from api.stream.tail_ring import Interest
from proxy.collector.learned_endpoints import LearnedEndpoints
from proxy.collector.startup import has_fanout
from proxy.collector.tail_offset import (
    MARGIN,
    MARK_NAME,
    keep_tail,
    raise_offset,
    read_secret,
    start_tail,
)
from proxy.process.data_dir import read_state, update_state
from proxy.settings.model import Settings, StorageSettings
from storage.backends import open_storage
from storage.base import Storage
from storage.query import Filter
from tests.api.samples import make_batch, make_record
from tests.support.cases import each_of
from tests.support.memory_store import MemoryStorage


async def open_tail(storage: Storage, data_path: Path) -> Tail:
    """The tail of a store, started."""
    tail = Tail(storage, is_begun=False)
    await start_tail(tail, storage, data_path)
    return tail


async def open_fanout(settings: Settings, storage: Storage) -> SnapshotCursors:
    """A signer with the secret of a store."""
    return SnapshotCursors(secret=await read_secret(storage))


@given(offset=st.integers(0, 10**9), last_seq=st.integers(0, 10**9), mark=st.integers(0, 10**12))
def test_the_next_id_is_above_everything_sent(offset: int, last_seq: int, mark: int) -> None:
    """The offset never falls, stays when nothing was lost, and else leaves a margin of 10 000 and
    more.
    """
    raised = raise_offset(offset, last_seq, mark)
    head = raised + 2 * last_seq
    if offset + 2 * last_seq >= mark:
        assert raised == offset
    else:
        assert head == mark + MARGIN
        assert MARGIN >= 10_000


@pytest.mark.parametrize("url", ["sqlite:///a.db", "memory:"])
async def test_ids_go_on_in_a_lasting_store_and_start_anew_in_another(
    tmp_path: Path, url: str
) -> None:
    """A store that is still there keeps its numbers; one that is empty again begins above all of
    them.
    """
    async with await open_storage(url, tmp_path, durability="fast") as storage:
        tail = await open_tail(storage, tmp_path)
        assert tail.offset == 0
        await storage.commit(make_batch(*(make_record(n) for n in range(1, 6))))
        tail.note_head(5)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await keep_tail(tail, storage, tmp_path, is_shared=False)

    assert read_state(tmp_path)[MARK_NAME] == 10
    async with await open_storage(url, tmp_path, durability="fast") as storage:
        again = await open_tail(storage, tmp_path)
        if url == "memory:":
            assert again.offset == 10 + MARGIN
            assert again.resume(7).reset_reason is not None
        else:
            assert (again.offset, again.head_id) == (0, 10)
            assert again.resume(7).reset_reason is None

    async with await open_storage("sqlite:///other.db", tmp_path, durability="fast") as storage:
        other = await open_tail(storage, tmp_path)
        assert other.offset == 10 + MARGIN
        assert int(await storage.meta("tail_offset") or 0) == other.offset


async def test_the_mark_leaves_other_state_alone(tmp_path: Path) -> None:
    """`state.json` keeps its other members."""
    update_state(tmp_path, instance="sl-1")
    async with await open_storage("memory:", tmp_path) as storage:
        keeping = keep_tail(Tail(storage, head_seq=3, offset=4), storage, tmp_path, is_shared=False)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await keeping

    assert read_state(tmp_path) == {"instance": "sl-1", MARK_NAME: 10}


async def test_a_shared_store_is_followed_while_somebody_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another sidecar commits becomes the head; without listeners the store is left alone."""
    monkeypatch.setattr("proxy.collector.tail_offset.POLL_S", 0.001)
    async with await open_storage("memory:", tmp_path) as storage:
        tail = Tail(storage)
        await storage.commit(make_batch(make_record(1)))

        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            following = tasks.create_task(keep_tail(tail, storage, tmp_path, is_shared=True))
            await asyncio.sleep(0.1)
            assert tail.head_id == 0
            tail.enter(Interest(encode_record, Filter(), frozenset(("record",))), 0)
            while tail.head_id < 2:  # noqa: ASYNC110 - the head sends no event
                await asyncio.sleep(0.005)
            following.cancel()

        assert tail.head_id == 2
        tail.close()


@each_of(
    ("value", "is_on"), [("true", True), ("1", True), ("YES", True), ("false", False), ("", False)]
)
def test_the_document_s_own_switch_turns_the_fan_out_on(value: str, is_on: bool) -> None:
    """LOGS_ADMIN_FANOUT, which is no setting of ours."""
    assert has_fanout({"LOGS_ADMIN_FANOUT": value}) is is_on
    assert not has_fanout({})


async def test_sidecars_of_one_store_read_each_other_s_cursors(tmp_path: Path) -> None:
    """The secret is the store's: made once, whoever comes first."""
    async with await open_storage("memory:", tmp_path) as storage:
        one = await open_fanout(Settings(), storage)
        other = await open_fanout(Settings(), storage)
        place = SnapshotPosition(5, int(one.now_s()), 3)
        assert other.decode(one.encode(place, b"x"), b"x") == place
        assert len(one.secret) == 32

    async with await open_storage("memory:", tmp_path) as storage:
        assert (await open_fanout(Settings(), storage)).secret != one.secret


async def test_what_another_sidecar_erased_is_not_streamed_from_memory() -> None:
    """Nobody else has the store of a file, so nobody else erases there."""
    for url, first_seq in (("postgresql://db/sidelog", None), ("sqlite:///sidelog.db", 1)):
        storage = MemoryStorage()
        settings = Settings(storage=StorageSettings(url=url))
        tail = Tail(storage)
        learned = LearnedEndpoints(storage, settings, tail.forget)
        other = LearnedEndpoints(storage, settings)
        await learned.save()
        tail.enter(Interest(lambda record: (), Filter(kind="all"), frozenset({"request"})), 0)
        batch = make_batch(make_record(1))
        await storage.commit(batch)
        tail.on_commit(batch)
        await storage.erase(Filter(kind="all"))
        await other.forget()
        await learned.save()
        assert tail._ring.first_seq == first_seq
        tail.close()
