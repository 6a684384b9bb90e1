"""A store over two replicas: each of them, or the coordinator, may be away; whoever answers shows
the same.
"""

import asyncio
import time
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from storage.clickhouse.replicas import whole_until_s
from storage.clickhouse.wire.address import Address
from storage.clickhouse.wire.link import Link
from storage.errors import StorageUnavailable
from storage.query import CountQuery, Filter
from tests.storage.clickhouse.cluster.test_shards import (
    CATCH_UP_S,
    LOOK_AGAIN_S,
    batch_of,
    committed,
    opened,
    reached,
)
from tests.support.clickhouse_cluster import Cluster
from tests.support.sidelog import eventually

pytestmark = [pytest.mark.clickhouse, pytest.mark.timeout(300)]


def paths(own: Cluster, database: str) -> list[list[str]]:
    """The paths on each replica, in the order of their numbers."""
    sql = f"SELECT path FROM {database}.records_local WHERE kind = 0 ORDER BY seq"
    return [server.ask(sql).split() for server in own.servers]


async def test_the_other_replica_goes_on(own: Cluster) -> None:
    """While one is away the other stores and shows all; the one that comes back then has the same."""
    database = own.database()
    first = own.servers[0]
    async with opened(own.url(database)) as store:
        await committed(store, batch_of("a", 1)[1])
        eventually(lambda: paths(own, database) == [["/1"]] * 2)
        first.kill()
        for number in (2, 3):
            await committed(store, batch_of("a", number)[1])
        assert (await store.read(CountQuery(Filter()))).exchanges == 3
        assert (await store.positions("a")).popitem()[1].offset == 3
        assert "away" in [each.state for each in await store.replicas()]
        first.start()
        behind = Link(Address.of(urlsplit(first.url(database))), own_records="records_local")
        began_s = time.monotonic()

        async with asyncio.timeout(CATCH_UP_S):
            while await whole_until_s(behind, "records") < began_s:
                assert paths(own, database)[0] in (["/1"], ["/1", "/2"], ["/1", "/2", "/3"])
                await asyncio.sleep(LOOK_AGAIN_S)

        await behind.close()
        assert paths(own, database) == [["/1", "/2", "/3"]] * 2
        last_seq = await committed(store, batch_of("a", 4)[1])
        await reached(store, last_seq)
        assert paths(own, database) == [["/1", "/2", "/3", "/4"]] * 2
        assert [each.state for each in await store.replicas()] == ["whole", "whole"]


async def test_fewer_replicas_than_are_wanted(own: Cluster) -> None:
    """Nothing is committed while one is away; when it is back, the same batch is, once."""
    database = own.database()
    second = own.servers[1]
    async with opened(own.url(database, options="&min_replicas=2")) as store:
        await committed(store, batch_of("a", 1)[1])
        assert paths(own, database) == [["/1"]] * 2
        second.kill()
        _, batch = batch_of("a", 2)
        with pytest.raises(StorageUnavailable):
            await store.commit(batch)
        second.start()
        await committed(store, batch)
        eventually(lambda: paths(own, database) == [["/1", "/2"]] * 2, timeout_s=CATCH_UP_S)


async def test_an_erasure_waits_for_a_replica_that_lags(own: Cluster) -> None:
    """What it has not fetched yet is erased as well, though it is the one that is asked."""
    database = own.database()
    async with opened(own.url(database)) as store:
        for server in own.servers:
            server.ask(f"SYSTEM STOP FETCHES {database}.records_local")
        await committed(store, batch_of("a", 1)[1])
        [behind] = [
            server for server, has in zip(own.servers, paths(own, database), strict=True) if not has
        ]
        host = urlsplit(behind.url(database)).netloc.rpartition("@")[2]
        for link in (store._link, *store._shards.links):
            link.hosts.sort(key=lambda one: not one.endswith(host))
        async with asyncio.TaskGroup() as tasks:
            erasing = tasks.create_task(store.erase(Filter()), name="erase")
            await asyncio.sleep(LOOK_AGAIN_S)
            for server in own.servers:
                server.ask(f"SYSTEM START FETCHES {database}.records_local")

        assert erasing.result().exchanges == 1
        eventually(lambda: paths(own, database) == [[], []], timeout_s=CATCH_UP_S)


async def test_a_store_that_nothing_was_written_to(own: Cluster) -> None:
    """Its replicas show all that there is: nobody waits for what was never committed."""
    database = own.database()
    async with opened(own.url(database)) as store:
        assert [each.state for each in await store.replicas()] == ["whole", "whole"]
        began_s = time.monotonic()
        for link in store._shards.links[0].each:
            assert await whole_until_s(link, "records") >= began_s
        assert (await store.erase(Filter())).exchanges == 0


async def test_a_coordinator_that_is_away(own: Cluster) -> None:
    """What is there is read, and the end of the stable prefix stays; a batch that waits is stored
    once.
    """
    database = own.database()
    async with opened(own.url(database)) as store:
        await reached(store, await committed(store, batch_of("a", 1)[1]))
        end = await store.last_seq()
        own.zookeeper.kill()
        _, batch = batch_of("a", 2)
        with pytest.raises(StorageUnavailable):
            await store.commit(batch)
        assert (await store.read(CountQuery(Filter()))).exchanges == 1
        with suppress(StorageUnavailable):
            assert await store.last_seq() == end
        own.zookeeper.start()
        await reached(store, await committed(store, batch))
        eventually(lambda: paths(own, database) == [["/1", "/2"]] * 2, timeout_s=CATCH_UP_S)
