"""Sums over replicas: each reads only what is whole on it, so no figure depends on which replica answers."""

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from storage.clickhouse.address import Address
from storage.clickhouse.cluster.reading import readable
from storage.clickhouse.cluster.summed import is_avoided
from storage.clickhouse.link import Link
from storage.clickhouse.store import ClickhouseStorage
from storage.clickhouse.upkeep import sums
from storage.clickhouse.upkeep.sums import CUBES
from storage.errors import StorageUnavailable
from storage.query import Count, Filter
from storage.record import Batch, Entry
from storage.relational.slices import Range
from storage.relational.time_ranges import DAY_US
from tests.storage.clickhouse.cluster.test_replicas import CATCH_UP_S, committed
from tests.storage.samples import make_record
from tests.support.clickhouse import Server
from tests.support.clickhouse_cluster import Cluster, cluster
from tests.support.clickhouse_sums import SummingStorage

pytestmark = [pytest.mark.clickhouse, pytest.mark.timeout(600), pytest.mark.usefixtures("patience")]

DAY = 20_000 * DAY_US
ROWS = 4
_LOOK_AGAIN_S = 0.05


class Store(SummingStorage):
    """One that makes sums when it is told to."""

    commit = ClickhouseStorage.commit


async def opened(running: Cluster, database: str, *, is_second_first: bool = False) -> Store:
    """A store with small grids, which asks one of the replicas as long as that answers."""
    store = await Store.open(Address.of(urlsplit(running.url(database))), grid_rows=ROWS)
    if is_second_first:
        store._link.hosts.reverse()
    return store


def batch(count: int, project: str = "p") -> Batch:
    """Records of one day."""
    return Batch(
        "sidecar-1", [Entry(make_record(started_at_us=DAY + place, project=project)) for place in range(count)]
    )


async def covered(store: ClickhouseStorage) -> list[Range]:
    """The rows whose sums are read where it asks now."""
    store._commits.forget_made()
    _, known = await readable(store._link, store._commits)
    return known.sums().runs


async def until_covered(store: ClickhouseStorage, *runs: Range) -> None:
    """Make sums, and note where they are, until they are read."""
    async with asyncio.timeout(CATCH_UP_S):
        while True:
            with suppress(StorageUnavailable):
                if await covered(store) == list(runs):
                    return
                await store.add_sums()
            await asyncio.sleep(_LOOK_AGAIN_S)


async def until_told(server: Server, statement: str, answer: str) -> None:
    """Wait for an answer of a server."""
    async with asyncio.timeout(CATCH_UP_S):
        # Servers tell nobody.
        while server.ask(statement) != answer:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_AGAIN_S)


async def test_both_replicas_read_sums() -> None:
    """Rows that were added up are not read on either; what nobody does to rows shows that it is so."""
    running = cluster()
    database = running.database()
    async with await opened(running, database) as store, await opened(running, database, is_second_first=True) as other:
        await store.commit(batch(2 * ROWS + 1))
        for each in (store, other):
            await until_covered(each, Range(1, 2 * ROWS))
        running.servers[0].ask(f"ALTER TABLE {database}.records DELETE WHERE seq IN (2, {2 * ROWS + 1})")
        for server in running.servers:
            await until_told(server, f"SELECT count() FROM {database}.records", f"{2 * ROWS - 1}\n")
        for each in (store, other):
            assert await each.count(Filter()) == Count(2 * ROWS, 0)


async def test_sums_that_a_replica_lacks_are_not_read_there() -> None:
    """Though it knows that they are done; it reads them when it has as many rows as the one that made them."""
    running = cluster()
    database = running.database()
    second = running.servers[1]
    async with await opened(running, database) as store, await opened(running, database, is_second_first=True) as other:
        for table in CUBES:
            second.ask(f"SYSTEM STOP FETCHES {database}.{table}")
        await store.commit(batch(ROWS))
        await until_covered(store, Range(1, ROWS))
        await until_told(second, f"SELECT count() FROM {database}.grids WHERE what = 'done'", "1\n")
        await store.add_sums()
        assert second.ask(f"SELECT count() FROM {database}.status_rollups") == "0\n"
        assert await covered(other) == []
        assert await other.count(Filter()) == Count(ROWS, 0)
        for table in CUBES:
            second.ask(f"SYSTEM START FETCHES {database}.{table}")
        await until_covered(other, Range(1, ROWS))
        assert await other.count(Filter()) == Count(ROWS, 0)


async def test_an_erasure_voids_sums_on_every_replica() -> None:
    """By the time it is answered, whichever one is asked; they are made again, for both."""
    running = cluster()
    database = running.database()
    async with await opened(running, database) as store, await opened(running, database, is_second_first=True) as other:
        await store.commit(batch(ROWS))
        await store.commit(batch(ROWS, "q"))
        for each in (store, other):
            await until_covered(each, Range(1, 2 * ROWS))
        assert (await other.erase(Filter(projects=("q",)))).exchanges == ROWS
        for each in (store, other):
            assert await each.count(Filter()) == Count(ROWS, 0)
        for each in (store, other):
            await until_covered(each, Range(1, 2 * ROWS))
            assert await each.count(Filter()) == Count(ROWS, 0)


async def test_an_erasure_that_another_replica_knows_of_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums that were begun before it do not count, wherever they were made."""
    running = cluster()
    database = running.database()
    async with await opened(running, database) as store, await opened(running, database, is_second_first=True) as other:

        async def late(link: Link, rows: Range, erasures: int) -> bool:
            await other.erase(Filter(projects=("p",)))
            monkeypatch.setattr(sums, "is_avoided", is_avoided)
            return await is_avoided(link, rows, erasures)

        monkeypatch.setattr(sums, "is_avoided", late)
        await store.commit(batch(ROWS))
        await store.add_sums()
        assert running.servers[0].ask(f"SELECT count() FROM {database}.grids WHERE what = 'done'") == "0\n"
        for each in (store, other):
            assert await each.count(Filter()) == Count(0, 0)


async def test_a_replica_that_was_away_when_sums_were_made(own: Cluster) -> None:
    """It answers from rows what the other one answers from sums, at any moment, and then from sums, too."""
    database = own.database()
    second = own.servers[1]
    async with await opened(own, database) as store:
        await store.commit(batch(ROWS))
        second.kill()
        await committed(store, batch(ROWS))
        await until_covered(store, Range(1, 2 * ROWS))
        second.start()
        async with await opened(own, database, is_second_first=True) as other:
            async with asyncio.timeout(CATCH_UP_S):
                while (await store.replicas())[1].state != "whole":
                    await committed(store, batch(1, "late"))
                    assert (await other.count(Filter(projects=("p",)))).exchanges == 2 * ROWS
            await until_covered(other, *await covered(store))
            assert (await other.count(Filter(projects=("p",)))).exchanges == 2 * ROWS
            assert await other.count(Filter()) == await store.count(Filter())


async def test_a_table_of_sums_that_was_dropped_on_one() -> None:
    """When it is made anew, its replica reads rows until the others have filled it."""
    running = cluster()
    database = running.database()
    async with await opened(running, database) as store, await opened(running, database, is_second_first=True) as other:
        await store.commit(batch(ROWS))
        for each in (store, other):
            await until_covered(each, Range(1, ROWS))
        running.servers[1].ask(f"DROP TABLE {database}.status_rollups")
        async with await opened(running, database, is_second_first=True) as again:
            assert await again.count(Filter()) == Count(ROWS, 0)
            await until_covered(again, Range(1, ROWS))
            assert await again.count(Filter()) == Count(ROWS, 0)


async def test_sums_go_when_no_replica_reads_them(own: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one does not tell, they stay."""
    monkeypatch.setattr(sums, "_SWEPT_GRIDS", 1)
    monkeypatch.setattr(sums, "_SWEPT_REPLICAS_S", -1)
    database = own.database()
    first, second = own.servers
    query = f"SELECT count() FROM {database}.summed"
    async with await opened(own, database) as store:
        await committed(store, batch(ROWS))
        await until_covered(store, Range(1, ROWS))
        await store.erase(Filter(projects=("p",)))
        before = int(first.ask(query))
        second.kill()
        await store._sweep()
        assert int(first.ask(query)) >= before
        second.start()
        async with asyncio.timeout(CATCH_UP_S):
            while first.ask(f"SELECT count() FROM {database}.status_rollups") != "0\n":
                await committed(store, batch(0))
                await store._sweep()
                await asyncio.sleep(_LOOK_AGAIN_S)
        assert await store.count(Filter()) == Count(0, 0)
