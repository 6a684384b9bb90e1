"""Sidecars of a cluster that commit for each other: every batch once, on every replica, whichever each of them asks."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from urllib.parse import urlsplit

import msgspec
import pytest

from storage.clickhouse.address import Address
from storage.clickhouse.answers import NotThere
from storage.clickhouse.cluster import inboxes
from storage.clickhouse.cluster.opening import prepare
from storage.clickhouse.cluster.replicas import ClusterLink
from storage.clickhouse.cluster.terms import Entry, Terms
from storage.clickhouse.features import read_features
from storage.clickhouse.writes.batches import BatchStore
from storage.clickhouse.writes.group import EPOCH_SHIFT
from storage.clickhouse.writes.inbox import table_of
from storage.errors import StorageUnavailable
from storage.record import Batch
from tests.storage.clickhouse.interrupted import batch, check_kept, write_interrupted
from tests.storage.samples import SOURCE, make_record
from tests.support.clickhouse import Server
from tests.support.clickhouse_cluster import Cluster, cluster, own_cluster

pytestmark = [pytest.mark.clickhouse, pytest.mark.timeout(600), pytest.mark.usefixtures("patience")]

WAIT_S = 120.0
LIVE = "attempt IN (SELECT attempt FROM {database}.commits)"


class Fleet:
    """Writers to a database of a cluster, which ask its replicas in turns."""

    def __init__(self, running: Cluster, closing: AsyncExitStack) -> None:
        self.servers = running.servers
        self.database = running.database()
        self._address = Address.of(urlsplit(running.url(self.database)))
        self._closing = closing
        self._opened = 0

    async def link(self) -> ClusterLink:
        """Open one, which begins with another host than the one before."""
        hosts = self._address.hosts
        first = self._opened % len(hosts)
        self._opened += 1
        opened = ClusterLink(replace(self._address, hosts=(*hosts[first:], *hosts[:first])))
        self._closing.push_async_callback(opened.close)
        return opened

    async def store(self) -> BatchStore:
        """Open one that has committed nothing."""
        link = await self.link()
        await prepare(link)
        return BatchStore(link, await read_features(link))

    async def writer(self, name: str) -> BatchStore:
        """Open one that has committed before: it may hand in."""
        store = await self.store()
        await store.store(batch(name, make_record()))
        await store.close()
        return store

    @asynccontextmanager
    async def waiting(self, *writers: tuple[BatchStore, Batch]) -> AsyncIterator[list[asyncio.Task[int]]]:
        """Have writers hand in their batches, and whoever is next commit at the end."""
        busy = Terms(await self.link())
        await busy.begin()
        async with asyncio.TaskGroup() as tasks:
            handing = [tasks.create_task(store.store(own), name=own.instance) for store, own in writers]
            await self.until_handed_in(busy.own, len(writers))
            yield handing
            await busy.give_up()

    async def until_handed_in(self, term: int, batches: int) -> None:
        """Wait until so many batches lie where whoever follows a term looks."""
        ends_at = time.monotonic() + WAIT_S
        link = await self.link()
        while True:
            lying = 0
            for copy in link.copies:
                with suppress(NotThere):
                    rows = await copy.link.fetch(f"SELECT count() FROM {table_of(term)}", limit_s=30)
                    lying += rows[0][0]
            if lying >= batches:
                return
            assert time.monotonic() < ends_at, lying
            await asyncio.sleep(0.02)

    def stored(self, server: Server) -> list[tuple[int, bytes]]:
        """The committed rows of a replica: number and id."""
        live = LIVE.format(database=self.database)
        answer = server.ask(f"SELECT seq, lower(hex(id)) FROM {self.database}.records WHERE {live} ORDER BY seq")
        return [(int(seq), bytes.fromhex(record_id)) for seq, record_id in map(str.split, answer.splitlines())]

    def terms(self) -> list[int]:
        """Of all commits, each once."""
        answer = self.servers[0].ask(f"SELECT DISTINCT attempt FROM {self.database}.commits ORDER BY attempt")
        return [int(attempt) >> EPOCH_SHIFT for attempt in answer.split()]


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    """Writers to an empty database."""
    async with AsyncExitStack() as closing:
        yield Fleet(cluster(), closing)


async def test_whoever_has_a_term_commits_for_all(fleet: Fleet) -> None:
    """Whichever replica each has handed in to: one commit, with all rows and texts on both."""
    names = "abcd"
    stores = [await fleet.writer(name) for name in names]
    batches = [batch(name, make_record(project=f"of-{name}"), offset=2) for name in names]
    async with fleet.waiting(*zip(stores, batches, strict=True)):
        pass
    wanted = sorted((own.entries[0].record.seq, own.entries[0].record.id) for own in batches)
    assert [seq for seq, _ in wanted] == [5, 6, 7, 8]
    assert len(set(fleet.terms()[4:])) == 1
    for server in fleet.servers:
        assert fleet.stored(server)[4:] == wanted
        texts = server.ask(f"SELECT uniqExact(value) FROM {fleet.database}.dictionary WHERE value LIKE 'of-%'")
        assert texts == "4\n"
        heads = server.ask(
            f"SELECT count() FROM {fleet.database}.heads WHERE seq > 4 AND {LIVE.format(database=fleet.database)}"
        )
        assert heads == "4\n"
    for name, store in zip(names, stores, strict=True):
        assert (await store.positions(name))[SOURCE].offset == 2


async def test_what_was_handed_in_by_one_who_died(fleet: Fleet) -> None:
    """Who comes in its place reads positions, behind which nobody commits it."""
    other, died = await fleet.writer("a"), await fleet.writer("b")
    async with fleet.waiting((died, batch("b", make_record(), make_record(), offset=3))) as [task]:
        task.cancel()
        await asyncio.wait([task])
    heir = await fleet.store()
    assert (await heir.positions("b"))[SOURCE].offset == 1
    await other.store(batch("a", make_record(), offset=2))
    assert [len(fleet.stored(server)) for server in fleet.servers] == [3, 3]


async def test_positions_of_a_turn_are_bounded(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """They stand in one node of the coordinator: the others wait for the next term."""
    monkeypatch.setattr(inboxes, "MAX_POSITIONS_BYTES", 1)
    stores = [await fleet.writer(name) for name in "abc"]
    batches = [batch(name, make_record(), offset=2) for name in "abc"]
    async with fleet.waiting(*zip(stores, batches, strict=True)):
        pass
    assert [seq for seq, _ in fleet.stored(fleet.servers[1])] == [1, 2, 3, 4, 5, 6]
    assert len(set(fleet.terms()[3:])) > 1


async def test_writers_that_are_interrupted(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every record is there once, in its sidecar's order, on each replica, and every position is that of what is."""
    monkeypatch.setattr("storage.clickhouse.cluster.terms.PATIENCE_S", 0.5)
    kept = await write_interrupted(fleet.writer, 4, (0.2, 0.5, 2.0, WAIT_S), 0.02)
    found, other = (fleet.stored(server) for server in fleet.servers)
    assert found == other
    await check_kept(found, kept, await fleet.store(), 4)


async def test_a_batch_on_a_replica_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the others are committed; its writer commits it itself, with another replica."""
    monkeypatch.setattr("storage.clickhouse.cluster.terms.SYNC_S", 5.0)
    with own_cluster() as running:
        async with AsyncExitStack() as closing:
            fleet = Fleet(running, closing)
            first, second = await fleet.writer("a"), await fleet.writer("b")
            batches = [batch(name, make_record(), offset=2) for name in "ab"]
            with suppress(BaseExceptionGroup):
                async with fleet.waiting((first, batches[0]), (second, batches[1])):
                    fleet.servers[1].kill()
            for store, own in zip((first, second), batches, strict=True):
                async with asyncio.timeout(WAIT_S):
                    while not own.entries[0].record.seq:
                        with suppress(StorageUnavailable):
                            await store.store(own)
            found = fleet.stored(fleet.servers[0])
            assert [seq for seq, _ in found] == [1, 2, 3, 4]
            assert {record_id for _, record_id in found[2:]} == {own.entries[0].record.id for own in batches}


def test_an_entry_of_an_earlier_program_is_read() -> None:
    """It has one row."""

    def read(entry: Sequence[object]) -> Entry:
        return msgspec.msgpack.decode(msgspec.msgpack.encode(entry), type=Entry)

    row = [1, 1, 1, 0, "a", b"\x80"]
    assert read(["commit", 3, ["first"], "INSERT", row]).rows == [row]
    assert read(["commit", 3, ["first"], "INSERT", row, [[2, 2]]]).rows == [row, [2, 2]]
