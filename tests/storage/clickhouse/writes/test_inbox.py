"""Writers that commit for each other: every batch once, whoever takes it, and whoever is gone."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from storage.clickhouse.link import Link
from storage.clickhouse.tables import create
from storage.clickhouse.writes import inbox
from storage.clickhouse.writes.batches import BatchStore
from storage.clickhouse.writes.epochs import Epochs
from storage.clickhouse.writes.group import EPOCH_SHIFT
from storage.errors import StorageError, StorageRejected, StorageUnavailable
from storage.record import Batch, Job, ToolCall, ToolStatus
from tests.storage.clickhouse.interrupted import batch, check_kept, write_interrupted
from tests.storage.clickhouse.links import WaywardLink
from tests.storage.samples import SOURCE, START_US, make_record

LIVE = "attempt IN (SELECT attempt FROM commits)"
WAIT_S = 30.0


class Fleet:
    """Writers to one database, each with a link of its own."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.links: list[Link] = []

    async def writer(self, name: str, link: Link | None = None) -> BatchStore:
        """Open one that has committed before: it may hand in."""
        own = link or Link(self.link.address)
        self.links.append(own)
        store = BatchStore(own, await create(own))
        await store.store(batch(name, make_record()))
        await store.close()
        return store

    @contextlib.asynccontextmanager
    async def waiting(self, *writers: tuple[BatchStore, Batch]) -> AsyncIterator[list[asyncio.Task[int | Exception]]]:
        """Have writers hand in their batches, and whoever is next commit at the end; yields what becomes of each."""
        busy = Epochs(self.link)
        await busy.begin()
        async with asyncio.TaskGroup() as tasks:
            handing = [tasks.create_task(_outcome(store, own), name=own.instance) for store, own in writers]
            await self.until(f"SELECT count() >= {len(writers)} FROM {inbox.table_of(busy.own)} WHERE NOT gone")
            yield handing
            await busy.give_up()

    async def heir(self) -> BatchStore:
        """Open one that has committed nothing."""
        self.links.append(Link(self.link.address))
        return BatchStore(self.links[-1], await create(self.links[-1]))

    async def until(self, sql: str) -> None:
        """Wait until a question is answered with yes."""
        ends_at = time.monotonic() + WAIT_S
        while not (await self.link.fetch(sql, limit_s=30))[0][0]:
            assert time.monotonic() < ends_at, sql
            await asyncio.sleep(0.01)

    async def stored(self) -> list[tuple[int, bytes]]:
        """The committed rows: number and id."""
        return await self.link.fetch(f"SELECT seq, id FROM records WHERE {LIVE} ORDER BY seq", limit_s=30)


async def _outcome(store: BatchStore, own: Batch) -> int | Exception:
    try:
        return await store.store(own)
    except StorageError as error:
        return error


async def _positions(store: BatchStore) -> None:
    await store.positions("b")


async def _refused(*arguments: object, **options: object) -> None:
    raise StorageUnavailable("too many parts")


@pytest.fixture
async def fleet(link: Link) -> AsyncIterator[Fleet]:
    """Writers to an empty database."""
    made = Fleet(link)
    yield made
    for own in made.links:
        await own.close()


def full_batch(name: str) -> Batch:
    """Rows for all tables."""
    record = make_record()
    statuses: tuple[ToolStatus, ToolStatus] = ("success", "processing")
    calls = [
        ToolCall(
            record_id=record.id, position=place, started_at_us=START_US, created_at_us=START_US, tool_name="add",
            server_label="s", status=status, arguments=b"{}",
        )
        for place, status in enumerate(statuses)
    ]  # fmt: skip
    made = batch(name, record, offset=2)
    made.entries[0].tool_calls = calls
    made.entries[0].jobs = [Job(name[0].encode() * 16, record.id, 5)]
    return made


async def test_whoever_has_the_turn_commits_for_all(fleet: Fleet) -> None:
    """Rows of all tables, with dense numbers; each sidecar has its positions; all of it in one epoch."""
    stores = [await fleet.writer(name) for name in "abc"]
    batches = [full_batch(name) for name in "abc"]
    async with fleet.waiting(*zip(stores, batches, strict=True)):
        pass
    found = await fleet.stored()
    assert [seq for seq, _ in found] == [1, 2, 3, 4, 5, 6]
    for own, store in zip(batches, stores, strict=True):
        [entry] = own.entries
        assert (entry.record.seq, entry.record.id) in found
        assert (await store.positions(own.instance))[SOURCE].offset == 2
    for table in ("heads", "bodies", "tool_calls", "waiting_calls", "jobs"):
        seqs = await fleet.link.fetch(f"SELECT seq FROM {table} WHERE seq > 3 AND {LIVE} ORDER BY seq", limit_s=30)
        assert seqs == [(4,), (5,), (6,)], table
    rows = await fleet.link.fetch(
        "SELECT attempt FROM commits WHERE first_seq = last_seq AND first_seq > 3", limit_s=30
    )
    assert len({attempt >> EPOCH_SHIFT for (attempt,) in rows}) == 1


@pytest.mark.parametrize("is_taken", [False, True])
async def test_a_batch_of_one_who_was_cancelled(fleet: Fleet, is_taken: bool) -> None:
    """Others may have committed it: when it comes again it is stored once, with what is new."""
    other, cancelled = await fleet.writer("a"), await fleet.writer("b")
    own = batch("b", make_record(), make_record(), offset=3)
    async with fleet.waiting((cancelled, own)) as [task]:
        task.cancel()
        await asyncio.wait([task])
    if is_taken:
        await other.store(batch("a", make_record(), offset=2))
        assert len(await fleet.stored()) == 5
    more = batch("b", *(entry.record for entry in own.entries), make_record(), offset=4)
    await cancelled.store(more)
    found = await fleet.stored()
    assert [seq for seq, _ in found] == list(range(1, (6 if is_taken else 5) + 1))
    assert len({record_id for _, record_id in found}) == len(found)
    assert all((entry.record.seq, entry.record.id) in found for entry in more.entries)
    assert (await cancelled.positions("b"))[SOURCE].offset == 4


async def test_a_batch_of_one_who_died(fleet: Fleet) -> None:
    """Who comes in its place reads positions, behind which nobody commits what it had handed in."""
    other, died = await fleet.writer("a"), await fleet.writer("b")
    async with fleet.waiting((died, batch("b", make_record(), make_record(), offset=3))) as [task]:
        task.cancel()
        await asyncio.wait([task])
    heir = await fleet.heir()
    assert (await heir.positions("b"))[SOURCE].offset == 1
    await other.store(batch("a", make_record(), offset=2))
    assert len(await fleet.stored()) == 3
    assert (await heir.positions("b"))[SOURCE].offset == 1


async def test_a_batch_that_cannot_be_stored_holds_up_nobody(fleet: Fleet) -> None:
    """It is refused to its own writer; those who would have taken it along go on without it."""
    bad, good = await fleet.writer("a"), await fleet.writer("b")
    [(stored_id,)] = await fleet.link.fetch("SELECT id FROM records WHERE seq = 1", limit_s=30)
    bad_batch, good_batch = batch("a", make_record(id=stored_id), offset=2), batch("b", make_record(), offset=2)
    async with fleet.waiting((bad, bad_batch), (good, good_batch)) as [refused, kept]:
        pass
    assert kept.result() == 3
    assert isinstance(refused.result(), StorageRejected)
    assert await bad.store(batch("a", make_record(), offset=3)) == 4
    assert [seq for seq, _ in await fleet.stored()] == [1, 2, 3, 4]


async def test_a_leader_whose_answer_was_lost(fleet: Fleet) -> None:
    """Those it took along find their batches, it finds its own when it comes again."""
    wayward = WaywardLink(fleet.link)
    leader, other = await fleet.writer("a", wayward), await fleet.writer("b")
    own, along = batch("a", make_record(), offset=2), batch("b", make_record(), make_record(), offset=3)
    async with fleet.waiting((other, along)) as [task]:
        task.cancel()
        await asyncio.wait([task])
    wayward.is_lossy = True
    with pytest.raises(StorageUnavailable):
        await leader.store(own)
    wayward.is_lossy = False
    assert len(await fleet.stored()) == 5
    await other.store(along)
    await leader.store(own)
    found = await fleet.stored()
    assert [seq for seq, _ in found] == [1, 2, 3, 4, 5]
    assert all((entry.record.seq, entry.record.id) in found for entry in (*own.entries, *along.entries))


async def test_positions_whose_answer_was_lost(fleet: Fleet) -> None:
    """A commit without records, of which nobody knows, is not taken for that of the next batch."""
    wayward = WaywardLink(fleet.link)
    store = await fleet.writer("a", wayward)
    wayward.is_lossy = True
    with pytest.raises(StorageUnavailable):
        await store.store(batch("a", offset=2))
    wayward.is_lossy = False
    busy = Epochs(fleet.link)
    await busy.begin()
    async with asyncio.TaskGroup() as writing:
        writing.create_task(store.store(batch("a", make_record(), offset=3)), name="a")
        handed = f"(SELECT count() FROM {inbox.table_of(busy.own)})"
        tickets = "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name LIKE 'turn_%'"
        await fleet.until(f"SELECT {handed} + ({tickets})")
        await busy.give_up()
    assert [seq for seq, _ in await fleet.stored()] == [1, 2]
    assert (await store.positions("a"))[SOURCE].offset == 3


@pytest.mark.parametrize("is_void", [False, True])
async def test_what_was_left_in_the_inbox_is_not_taken_for_the_next_batch(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, is_void: bool
) -> None:
    """Positions, or nothing, that was handed in, given up and committed later by another: the next batch is stored."""
    other, store = await fleet.writer("a"), await fleet.writer("b")
    busy = Epochs(fleet.link)
    await busy.begin()
    async with asyncio.TaskGroup() as giving_up:
        left = giving_up.create_task(_positions(store) if is_void else _outcome(store, batch("b", offset=2)), name="b")
        await fleet.until(f"SELECT count() FROM {inbox.table_of(busy.own)} WHERE NOT gone")
        left.cancel()
    await busy.give_up()
    own = batch("b", make_record(), offset=3)
    with monkeypatch.context() as patch:
        patch.setattr(fleet.links[-1], "send", _refused)
        with pytest.raises(StorageUnavailable):
            await store.store(own)
    await other.store(batch("a", make_record(), offset=2))
    async with fleet.waiting((store, own)):
        pass
    found = await fleet.stored()
    assert [seq for seq, _ in found] == [1, 2, 3, 4]
    assert (own.entries[0].record.seq, own.entries[0].record.id) in found
    assert (await store.positions("b"))[SOURCE].offset == 3


async def test_a_group_that_comes_too_late_is_not_committed(fleet: Fleet) -> None:
    """None of its batches, whoever has written since; each is stored once when it comes again."""
    wayward = WaywardLink(fleet.link)
    leader, other = await fleet.writer("a", wayward), await fleet.writer("b")
    own, along = batch("a", make_record(), offset=2), batch("b", make_record(), make_record(), offset=3)
    wayward.is_late = True
    async with fleet.waiting((leader, own), (other, along)) as [leading, following]:
        pass
    wayward.is_late = False
    assert isinstance(following.result(), int)
    if isinstance(leading.result(), StorageUnavailable):
        await leader.store(own)
    for sql, parameters in wayward.late:
        await fleet.link.execute(sql, parameters, limit_s=30)
    found = await fleet.stored()
    assert [seq for seq, _ in found] == [1, 2, 3, 4, 5]
    assert all((entry.record.seq, entry.record.id) in found for entry in (*own.entries, *along.entries))


async def test_a_large_batch_waits_for_its_own_turn(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the queue, as one that cannot be handed in."""
    monkeypatch.setattr(inbox, "MAX_HANDED_BYTES", 100)
    large = await fleet.writer("a")
    async with asyncio.TaskGroup() as writing, fleet.waiting():
        task = writing.create_task(large.store(batch("a", make_record(), offset=2)), name="large")
        await fleet.until("SELECT count() FROM system.tables WHERE database = currentDatabase() AND name LIKE 'turn_%'")
    assert task.result() == 2


async def test_what_another_program_handed_in_is_left_to_it(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that nobody can read stops no one."""
    other, store = await fleet.writer("a"), await fleet.writer("b")
    with monkeypatch.context() as patch:
        patch.setattr(inbox, "_encode", lambda batch: b"\x93\xff")
        async with fleet.waiting((other, batch("a", make_record(), offset=2))) as [task]:
            task.cancel()
            await asyncio.wait([task])
    assert await store.store(batch("b", make_record(), offset=2)) == 3
    assert await other.store(batch("a", make_record(), offset=2)) == 4


async def test_many_writers_that_are_interrupted(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every record is there once, in its sidecar's order, and every position is that of what is there."""
    monkeypatch.setattr("storage.clickhouse.writes.epochs.PATIENCE_S", 0.5)
    kept = await write_interrupted(fleet.writer, 5, (0.05, 0.2, 1.0, WAIT_S), 0.01)
    await check_kept(await fleet.stored(), kept, await fleet.heir(), 5)


async def test_a_batch_is_found_while_others_follow_each_other(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest epoch is always somebody's: who has handed in learns that it was committed all the same."""
    monkeypatch.setattr("storage.clickhouse.writes.waiting._CROWDED_S", 2.0)
    monkeypatch.setattr("storage.clickhouse.writes.epochs.PATIENCE_S", 60.0)
    other, store = await fleet.heir(), await fleet.writer("b")
    busy = Epochs(fleet.link)
    await busy.begin()
    async with asyncio.TaskGroup() as writing:
        task = writing.create_task(store.store(batch("b", make_record(), offset=2)), name="b")
        await fleet.until(f"SELECT count() FROM {inbox.table_of(busy.own)} WHERE NOT gone")
        await busy.give_up()
        await other.store(batch("a", make_record()))
        # Before it looks again, which is 1 to 3 s later.
        await busy.begin()
        # Less than the patience with an epoch in which nothing happens.
        async with asyncio.timeout(40):
            await asyncio.wait([task])
    assert len(await fleet.stored()) == 3


async def test_a_fleet_that_begins_needs_few_turns(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions are asked for by all at once: what makes older batches void is committed together."""
    names = "abcdefgh"
    for name in names:
        await (await fleet.writer(name)).close()
    [(before,)] = await fleet.link.fetch("SELECT max(attempt) FROM commits", limit_s=30)
    heirs = [await fleet.heir() for _ in names]
    busy = Epochs(fleet.link)
    await busy.begin()
    async with asyncio.TaskGroup() as asking:
        tasks = [asking.create_task(heir.positions(name), name=name) for heir, name in zip(heirs, names, strict=True)]
        await fleet.until(f"SELECT count() >= 8 FROM {inbox.table_of(busy.own)} WHERE NOT gone")
        await busy.give_up()
    assert [task.result()[SOURCE].offset for task in tasks] == [1] * 8
    rows = await fleet.link.fetch("SELECT attempt FROM commits WHERE attempt > $1", (before,), limit_s=30)
    assert len(rows) >= 8
    assert len({attempt >> EPOCH_SHIFT for (attempt,) in rows}) <= 2


async def test_what_is_taken_at_once_is_bounded(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes: the others wait for who comes next."""
    monkeypatch.setattr(inbox, "MAX_TAKEN_BYTES", 1)
    stores = [await fleet.writer(name) for name in "abc"]
    async with fleet.waiting(
        *((store, batch(name, make_record(), offset=2)) for store, name in zip(stores, "abc", strict=True))
    ):
        pass
    found = await fleet.stored()
    assert [seq for seq, _ in found] == [1, 2, 3, 4, 5, 6]
    rows = await fleet.link.fetch(
        "SELECT attempt FROM commits WHERE first_seq > 3 AND first_seq <= last_seq", limit_s=30
    )
    assert len({attempt >> EPOCH_SHIFT for (attempt,) in rows}) > 1


async def test_a_large_group_is_sealed_at_once(fleet: Fleet) -> None:
    """Five hundred rows of the journal: numbers of each sign and size, names and positions as they are."""
    epochs = Epochs(fleet.link)
    store = await fleet.writer("a")
    await store.close()
    await epochs.begin()
    columns = (
        "INSERT INTO commits (first_attempt, attempt, first_seq, last_seq, min_started_at_us, instance, positions)"
    )
    wanted = [
        ((epochs.own << EPOCH_SHIFT) + place, (epochs.own << EPOCH_SHIFT) + place, place, -place, (1 << 63) - 1 - place,
         f"side'car \\ \u2028 {place}", bytes([place & 255]) * 300)
        for place in range(1, 501)
    ]  # fmt: skip
    began_s = time.monotonic()
    await epochs.seal(columns, wanted)
    assert time.monotonic() - began_s < WAIT_S
    names = "first_attempt, attempt, first_seq, last_seq, min_started_at_us, instance, hex(positions)"
    rows = await fleet.link.fetch(
        f"SELECT {names} FROM commits WHERE attempt > $1 ORDER BY attempt", (wanted[0][0] - 1,), limit_s=30
    )
    assert [(*row[:-1], bytes.fromhex(row[-1])) for row in rows] == wanted
