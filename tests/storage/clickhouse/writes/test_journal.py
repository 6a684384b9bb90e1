"""Batches become visible as a whole, once, whoever writes, and whatever breaks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

from storage.clickhouse.address import Address
from storage.clickhouse.link import Link
from storage.clickhouse.native import Column
from storage.clickhouse.writes.epochs import Epochs
from storage.clickhouse.writes.group import NO_SPAN, Group, Span, Turn
from storage.clickhouse.writes.journal import COMMITS, Journal, Work, read_end
from storage.errors import StorageRejected, StorageUnavailable
from storage.record import Position
from tests.storage.clickhouse.links import WaywardLink
from tests.storage.samples import SOURCE
from tests.support.clickhouse import Server, own_server

ROWS = """CREATE TABLE IF NOT EXISTS texts (seq Int64, attempt UInt64, text String)
ENGINE = ReplacingMergeTree(attempt) ORDER BY seq"""
_SPAN = Span(5, 9, 1, 2)


async def writer(link: Link) -> Journal:
    """A writer to the database of a link."""
    await link.execute(COMMITS, limit_s=30)
    await link.execute(ROWS, limit_s=30)
    return Journal(link, Epochs(link))


def work(link: Link, *texts: str, instance: str = "a", offset: int = 0, retired: Sequence[bytes] = ()) -> Work:
    """A batch of texts."""

    async def insert(group: Group) -> None:
        turn = group.turn
        seqs = range(turn.first_seq, turn.first_seq + len(texts))
        attempts = [turn.attempt] * len(texts)
        columns = Column("seq", "Int64", seqs), Column("attempt", "UInt64", attempts), Column("text", "String", texts)
        if texts:
            await link.insert("texts", columns, limit_s=30)

    moved = {SOURCE: Position(offset=offset)} if offset else {}
    return Work(instance, len(texts), _SPAN if texts else NO_SPAN, moved, retired, insert)


async def seen(link: Link) -> list[str]:
    """What a reader sees, in order; the numbers are dense."""
    last_seq, _ = await read_end(link)
    rows = await link.fetch("SELECT seq, text FROM texts FINAL WHERE seq <= $1 ORDER BY seq", (last_seq,), limit_s=30)
    assert [seq for seq, _ in rows] == list(range(1, last_seq + 1))
    return [text for _, text in rows]


@contextlib.asynccontextmanager
async def another(address: Address) -> AsyncIterator[Link]:
    """Another link to a database."""
    opened = Link(address)
    try:
        yield opened
    finally:
        await opened.close()


async def test_a_batch_is_committed_with_its_positions(link: Link) -> None:
    """Rows, positions and where the batch lies are there after the commit; a batch without rows moves positions."""
    journal = await writer(link)
    assert (await journal.commit(work(link, "x", "y", offset=7))).first_seq == 1
    assert (await journal.commit(work(link, "z", offset=9, instance="b"))).first_seq == 3
    assert await seen(link) == ["x", "y", "z"]
    await journal.commit(work(link, offset=8))
    assert await journal.positions("a") == {SOURCE: Position(offset=8)}
    assert await journal.positions("b") == {SOURCE: Position(offset=9)}
    assert await journal.positions("c") == {}
    await journal.commit(work(link, retired=[SOURCE]))
    assert await journal.positions("a") == {}
    sql = "SELECT first_seq, last_seq, min_started_at_us, max_id_ms FROM commits ORDER BY attempt"
    found = await link.fetch(sql, limit_s=30)
    assert found == [(1, 2, 5, 2), (3, 3, 5, 2), (4, 3, 0, -1), (4, 3, 0, -1)]


async def test_positions_are_as_they_were_committed(link: Link) -> None:
    """What becomes of the caller's position later is not stored, nor what becomes of the answer."""
    journal = await writer(link)
    batch = work(link, "x", offset=7)
    await journal.commit(batch)
    batch.moved[SOURCE].offset = 99
    (await journal.positions("a"))[SOURCE].offset = 99
    await journal.commit(work(link, "y", instance="b"))
    assert await journal.positions("a") == {SOURCE: Position(offset=7)}


async def test_what_a_refused_batch_left_behind_is_not_seen(link: Link) -> None:
    """Rows of a batch that was refused half-way give way to those that get their numbers, batch by batch."""
    journal = await writer(link)
    await journal.commit(work(link, "x"))
    whole = work(link, "1", "2", "3", offset=5)

    async def half(group: Group) -> None:
        await whole.insert(group)
        await link.insert("texts", [Column("seq", "Int64", [1 << 63])], limit_s=30)

    with pytest.raises(StorageRejected):
        await journal.commit(whole._replace(insert=half))
    assert await link.fetch("SELECT count() FROM texts", limit_s=30) == [(4,)]
    for text in "abc":
        await journal.commit(work(link, text))
    assert await seen(link) == ["x", "a", "b", "c"]
    assert await journal.positions("a") == {}


async def test_an_answer_that_was_lost(link: Link, wayward: WaywardLink) -> None:
    """A commit whose answer did not come is found, and what follows comes behind it."""
    journal = await writer(wayward)
    await journal.commit(work(link, "x"))
    wayward.is_lossy = True
    with pytest.raises(StorageUnavailable):
        await journal.commit(work(link, "y", offset=3))
    wayward.is_lossy = False
    tables = "SELECT count() FROM system.tables WHERE database = currentDatabase()"
    before = await link.fetch(tables, limit_s=30)
    assert await journal.settle() == 2
    assert await journal.settle() is None
    assert await link.fetch(tables, limit_s=30) == before, "it took no turn to find out"
    assert await journal.positions("a") == {SOURCE: Position(offset=3)}
    assert (await journal.commit(work(link, "z"))).first_seq == 3
    assert await seen(link) == ["x", "y", "z"]


async def test_a_commit_that_comes_late_does_not_happen(link: Link, wayward: WaywardLink) -> None:
    """A statement that reaches the server when it was given up stores nothing, whoever has written since."""
    journal = await writer(wayward)
    await journal.commit(work(link, "x"))
    wayward.is_late = True
    with pytest.raises(StorageUnavailable):
        await journal.commit(work(link, "late", "later", offset=3))
    wayward.is_late = False
    assert await journal.settle() is None
    assert await journal.positions("a") == {}
    for sql, parameters in wayward.late:
        await link.execute(sql, parameters, limit_s=30)
    assert await seen(link) == ["x"]
    await journal.commit(work(link, "y"))
    for sql, parameters in wayward.late:
        await link.execute(sql, parameters, limit_s=30)
    assert await seen(link) == ["x", "y"]
    assert await journal.positions("a") == {}


async def test_a_writer_that_others_overtook(link: Link) -> None:
    """A batch that another's epoch made void is written again behind what the other has committed."""
    async with another(link.address) as second:
        mine, yours = await writer(link), await writer(second)
        await mine.commit(work(link, "1"))
        await yours.commit(work(link, "between", instance="b"))
        batch, turns = work(link, "2", offset=4), list[Turn]()

        async def insert(group: Group) -> None:
            turns.append(group.turn)
            await batch.insert(group)

        assert (await mine.commit(batch._replace(insert=insert))).first_seq == 3
        assert [turn.first_seq for turn in turns] == [2, 3]
        assert await seen(link) == ["1", "between", "2"]
        assert await yours.positions("a") == {SOURCE: Position(offset=4)}


async def test_a_cancelled_commit_happened_or_did_not(link: Link) -> None:
    """After a cancellation the positions tell what became of the batch, and what readers see agrees with them."""
    journal = await writer(link)
    expected = 0
    for delay_s in (0, 0.001, 0.003, 0.006, 0.009, 0.012, 0.02, 0.05):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await journal.commit(work(link, *map(str, range(20)), offset=expected + 20))
        position = (await journal.positions("a")).get(SOURCE, Position())
        assert position.offset in (expected, expected + 20)
        expected = position.offset
        assert len(await seen(link)) == expected


async def test_writers_take_turns(link: Link) -> None:
    """Batches of three writers at once are all there, whole, each writer's in its order."""

    async def write(name: str) -> None:
        async with another(link.address) as own:
            journal = await writer(own)
            for number in range(5):
                texts = [f"{name}{number}"] * 3
                await journal.commit(work(link, *texts, instance=name, offset=number + 1))
            await journal.close()

    async with asyncio.TaskGroup() as writers:
        for name in "abc":
            writers.create_task(write(name), name=name)
    texts = await seen(link)
    assert [texts[place] for place in range(0, 45, 3)] == [texts[place + 2] for place in range(0, 45, 3)]
    for name in "abc":
        assert [text for text in texts[::3] if text[0] == name] == [f"{name}{number}" for number in range(5)]
        assert (await (await writer(link)).positions(name))[SOURCE].offset == 5


async def test_one_who_died_in_the_queue_holds_up_nobody(link: Link) -> None:
    """Others pass it over, and take away what it left behind."""
    async with another(link.address) as second:
        mine, yours = await writer(link), await writer(second)
        await mine.commit(work(link, "1"))
        await link.execute("CREATE TABLE turn_0000000000000000001_dead (gone UInt8) ENGINE = TinyLog", limit_s=30)
        await yours.commit(work(second, "2", instance="b"))
        await mine.commit(work(link, "3"))
    assert await seen(link) == ["1", "2", "3"]
    tables = await link.fetch("SELECT name FROM system.tables WHERE database = currentDatabase()", limit_s=30)
    assert not [name for (name,) in tables if name.startswith("turn_")]


async def test_an_epoch_in_which_nothing_happens_is_waited_for(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that was killed before its first commit holds up the next one for a while, and not for ever."""
    monkeypatch.setattr("storage.clickhouse.writes.epochs.PATIENCE_S", 0.3)
    killed = await writer(link)
    await killed.begin()
    async with another(link.address) as second:
        began = asyncio.get_running_loop().time()
        await (await writer(second)).commit(work(link, "x"))
        assert asyncio.get_running_loop().time() - began > 0.3
        # The other one was only slow: what it does is void, then it has its turn.
        assert (await killed.commit(work(link, "y"))).first_seq == 2
    assert await seen(link) == ["x", "y"]


async def test_a_closed_writer_is_not_waited_for(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who closes gives up its epoch, whether or not it has committed."""
    monkeypatch.setattr("storage.clickhouse.writes.epochs.PATIENCE_S", 3600.0)
    for _ in range(4):
        async with another(link.address) as own:
            journal = await writer(own)
            await journal.begin()
            await journal.close()
    assert await seen(link) == []
    tables = await link.fetch("SELECT name FROM system.tables WHERE database = currentDatabase()", limit_s=30)
    assert sorted(name for (name,) in tables if name.startswith("epoch_")) == ["epoch_2", "epoch_3", "epoch_4"]


async def test_a_commit_that_is_running_is_waited_for(link: Link) -> None:
    """An epoch begins when no commit of an older one is running any more."""
    first, second = Epochs(link), Epochs(link)
    await link.execute(COMMITS, limit_s=30)
    await first.begin()
    await first.give_up()
    ended: list[str] = []

    async def commit() -> None:
        settings = {"query_id": first.query_id(), "max_block_size": "1"}
        await link.fetch("SELECT sleep(0.1) FROM numbers(8)", limit_s=30, settings=settings)
        ended.append("commit")

    async def begin() -> None:
        await asyncio.sleep(0.2)
        await second.begin()
        ended.append("epoch")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(commit(), name="commit")
        tasks.create_task(begin(), name="begin")
    assert ended == ["commit", "epoch"]


async def test_a_server_that_is_killed_again_and_again(engine: Server) -> None:
    """Whatever the moment, every batch is there once; what was in doubt is found out about."""
    with own_server(engine.engine) as own:
        async with another(own.address(own.database())) as link:
            journal = await writer(link)
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(_commit_all(journal, link, 60), name="write")
                for kills in range(4):
                    await asyncio.wait([writing], timeout=0.05 + 0.06 * kills)
                    own.kill()
                    own.start()
            assert await seen(link) == [str(number) for number in range(60)]
            assert (await journal.positions("a"))[SOURCE].offset == 60


async def _commit_all(journal: Journal, link: Link, batches: int) -> None:
    for number in range(batches):
        await _commit_at_last(journal, work(link, str(number), offset=number + 1))


async def _commit_at_last(journal: Journal, batch: Work) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                if await journal.settle() is None:
                    await journal.commit(batch)
                return
            except StorageUnavailable:
                await asyncio.sleep(0.01)
