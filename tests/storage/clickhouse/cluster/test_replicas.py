"""A store over replicas: what each must have before something is committed, and what is read where one is behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest

from storage.clickhouse.address import Address
from storage.clickhouse.cluster import terms
from storage.clickhouse.cluster.catching_up import has_caught_up
from storage.clickhouse.cluster.replicas import ClusterLink
from storage.clickhouse.layout import newest
from storage.clickhouse.store import ClickhouseStorage
from storage.errors import StorageMisconfigured, StorageUnavailable
from storage.query import Count, Filter
from storage.record import Batch
from tests.storage.samples import make_batch, make_record
from tests.support.clickhouse_cluster import Cluster, cluster
from tests.support.sidelog import eventually

pytestmark = [pytest.mark.clickhouse, pytest.mark.timeout(600), pytest.mark.usefixtures("patience")]

CATCH_UP_S = 120.0
"""A replica that was killed asks every 10 s whether its old session is over."""
_LOOK_AGAIN_S = 0.2


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[ClickhouseStorage]:
    """A store at an address."""
    async with await ClickhouseStorage.open(Address.of(urlsplit(url))) as store:
        yield store


async def committed(store: ClickhouseStorage, batch: Batch) -> int:
    """Commit a batch, as often as it takes until the store does."""
    async with asyncio.timeout(CATCH_UP_S):
        while True:
            with suppress(StorageUnavailable):
                return await store.commit(batch)
            await asyncio.sleep(_LOOK_AGAIN_S)


async def test_the_layout_is_brought_up_to_date() -> None:
    """On every replica, where each may find that another one has changed its table already."""
    running = cluster()
    database = running.database()
    async with opened(running.url(database)) as store:
        await store.commit(make_batch(make_record(trace_id="one"), make_record(trace_id="two")))
    running.servers[0].ask(f"ALTER TABLE {database}.records DROP COLUMN trace_hash")
    hashed = f"SELECT count() FROM system.columns WHERE database = '{database}' AND name = 'trace_hash'"
    eventually(lambda: all(server.ask(hashed) == "0\n" for server in running.servers))
    for server in running.servers:
        server.ask(f"DROP TABLE {database}.layout_{newest()}")
        server.ask(f"CREATE TABLE {database}.layout_2 (done UInt8) ENGINE = TinyLog")
    async with opened(running.url(database)) as store:
        assert await store.count(Filter(trace_id="two")) == Count(1, 0)
    for server in running.servers:
        hashes = server.ask(f"SELECT uniqExact(trace_hash) FROM {database}.records")
        assert (hashes, server.ask(f"EXISTS TABLE {database}.layout_{newest()}")) == ("2\n", "1\n")


async def test_a_commit_is_on_every_replica() -> None:
    """When it is answered, each replica has its rows and texts."""
    running = cluster()
    database = running.database()
    async with opened(running.url(database)) as store:
        assert await store.commit(make_batch(*(make_record(project=f"p{number}") for number in range(50)))) == 50
        for server in running.servers:
            assert server.ask(f"SELECT count() FROM {database}.records") == "50\n"
            assert server.ask(f"SELECT count() FROM {database}.dictionary WHERE value LIKE 'p%'") == "50\n"


@pytest.mark.parametrize(
    ("named", "error", "words"),
    [
        ("shards", StorageMisconfigured, "has 2 shards, and sidelog writes to one"),
        ("nothing", StorageUnavailable, "knows no cluster nothing"),
    ],
)
async def test_a_cluster_that_cannot_be_used(named: str, error: type[Exception], words: str) -> None:
    """It is refused in words, and nothing is made."""
    running = cluster()
    database = running.database()
    with pytest.raises(error, match=words):
        async with opened(running.url(database, cluster=named)):
            pass
    for server in running.servers:
        assert server.ask(f"SHOW TABLES FROM {database}") == ""


async def test_a_replica_that_was_away_is_not_read_before_it_has_caught_up(own: Cluster) -> None:
    """Whichever host an address begins with, what was committed is shown; and an erasure waits for all."""
    first, second = own.servers
    database = own.database()
    async with opened(own.url(database)) as store:
        assert await committed(store, make_batch(make_record(project="old"))) == 1
        second.kill()
        assert await committed(store, make_batch(make_record(project="new"), make_record(project="old"))) == 3
        await store.put_meta("name", "newer", replace=True)
        erased = await store.erase(Filter(projects=("old",)))
        assert (erased.exchanges, erased.is_finished) == (2, False)
        assert await store.erasing() == 2
        second.start()
        hosts = f"127.0.0.1:{second.port},127.0.0.1:{first.port}"
        async with opened(f"clickhouse://{hosts}/{database}?cluster=both") as other:
            assert await other.last_seq() == 3
            assert (await other.count(Filter())).exchanges == 1
            assert await other.meta("name") == "newer"
        link = ClusterLink(Address.of(urlsplit(own.url(database))))
        async with asyncio.timeout(CATCH_UP_S):
            # Servers tell nobody.
            while not await has_caught_up(link, link.copies[1]) or await store.erasing():  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_AGAIN_S)
        await link.close()
    for server in own.servers:
        assert server.ask(f"SELECT count() FROM {database}.records") == "1\n"


async def test_who_is_left_out_is_told(own: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """Once when it is left out, and once when it is taken in again."""
    caplog.set_level("INFO", logger=terms.__name__)
    async with opened(own.url(own.database(), options="&min_replicas=1")) as store:
        assert await committed(store, make_batch(make_record())) == 1
        own.servers[0].kill()
        assert await committed(store, make_batch(make_record())) == 2
        own.servers[0].start()
        async with asyncio.timeout(CATCH_UP_S):
            while "first has everything" not in caplog.text:
                await committed(store, make_batch(make_record()))
    assert caplog.text.count("the replica first is left out until it has caught up; 1 have everything") == 1
    assert caplog.text.count("the replica first has everything; so have 2") == 1


async def test_fewer_replicas_than_are_wanted(own: Cluster) -> None:
    """Nothing is committed while one is away; when it is back, the same batch is, once."""
    database = own.database()
    async with opened(own.url(database, options="&min_replicas=2")) as store:
        assert await committed(store, make_batch(make_record())) == 1
        own.servers[1].kill()
        batch = make_batch(make_record())
        with pytest.raises(StorageUnavailable, match="1 of the replicas have everything, not 2"):
            await store.commit(batch)
        own.servers[1].start()
        assert await committed(store, batch) == 2
        assert (await store.count(Filter())).exchanges == 2


async def test_a_replica_that_comes_later(own: Cluster) -> None:
    """A host that was away when the tables were made gets them when it is there, and all that was stored before."""
    second = own.servers[1]
    database = own.database()
    second.kill()
    async with opened(own.url(database)) as store:
        await store.commit(make_batch(make_record()))
        second.start()
        number = 1
        query = f"SELECT count() FROM {database}.commits WHERE has(replicas, 'second')"
        async with asyncio.timeout(CATCH_UP_S):
            while own.servers[0].ask(query) == "0\n":
                await asyncio.sleep(_LOOK_AGAIN_S)
                number = await committed(store, make_batch(make_record()))
        assert second.ask(f"SELECT count() FROM {database}.records") == f"{number}\n"
