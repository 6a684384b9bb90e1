"""A store over two shards: each sidecar writes to one, reads show both, and one may be away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest

from storage.clickhouse.store import ClickhouseStorage
from storage.clickhouse.wire.address import Address
from storage.errors import StorageMisconfigured, StorageUnavailable
from storage.query import Count, CountQuery, Filter, RecordQuery
from storage.record import Batch, Entry, Position, Record
from tests.storage.samples import SOURCE, make_payload, make_record
from tests.support.clickhouse_cluster import SHARDS, Cluster
from tests.support.filters import make_filter

pytestmark = [pytest.mark.clickhouse, pytest.mark.timeout(300)]

NAMES = ("a", "b", "c", "d")
DELAY_MS = 300
BACK_S = 60.0
CATCH_UP_S = 120.0
"""A replica that was killed asks every 10 s whether its old session is over."""
LOOK_AGAIN_S = 0.2


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[ClickhouseStorage]:
    """A store at an address."""
    async with await ClickhouseStorage.open(
        Address.of(urlsplit(url)), order_delay_ms=DELAY_MS
    ) as store:
        yield store


def batch_of(name: str, number: int) -> tuple[Record, Batch]:
    """The batch of a sidecar with one record, and that."""
    record = make_record(instance=name, path=f"/{number}", project=name)
    position = Position(offset=number, taken=number, stored=number)
    return record, Batch(name, [Entry(record, make_payload(number))], {SOURCE: position})


async def fill(store: ClickhouseStorage, number: int = 1) -> dict[str, Record]:
    """A record of each sidecar."""
    records = {}
    for name in NAMES:
        records[name], batch = batch_of(name, number)
        await store.commit(batch)
    return records


async def committed(store: ClickhouseStorage, batch: Batch) -> int:
    """Commit a batch, as often as it takes until the store does."""
    async with asyncio.timeout(CATCH_UP_S):
        while True:
            with suppress(StorageUnavailable):
                return await store.commit(batch)
            await asyncio.sleep(LOOK_AGAIN_S)


async def reached(store: ClickhouseStorage, seq: int) -> None:
    """Wait until the end of the stable prefix has passed a number."""
    async with asyncio.timeout(BACK_S):
        while await store.last_seq() < seq:  # noqa: ASYNC110 -- servers tell nobody
            await asyncio.sleep(0.1)


def here(own: Cluster, database: str) -> list[set[str]]:
    """The sidecars of each shard."""
    sql = f"SELECT DISTINCT instance FROM {database}.records_local WHERE kind = 0"
    return [set(server.ask(sql).split()) for server in own.servers]


async def test_sidecars_are_spread_and_all_are_read(own: Cluster) -> None:
    """Each stays on its shard; lists, payloads, positions and figures are of both, and so is the
    stable prefix.
    """
    database = own.database()
    async with opened(own.url(database, cluster=SHARDS)) as store:
        records = await fill(store)
        assert [len(names) for names in here(own, database)] == [2, 2]
        before = here(own, database)
        await fill(store, 2)
        assert here(own, database) == before
        await reached(store, max(record.seq for record in records.values()))

    async with opened(own.url(database, cluster=SHARDS)) as store:
        assert await store.read(CountQuery(Filter())) == Count(8, 0)
        page = await store.read(RecordQuery(filter=Filter(), order="asc"))
        assert [record.path for record in page.records] == ["/1"] * 4 + ["/2"] * 4
        assert len(await store.payloads([record.seq for record in page.records])) == 8
        assert {
            name: (await store.positions(name))[SOURCE].offset for name in NAMES
        } == dict.fromkeys(NAMES, 2)
        assert [(each.host, each.state) for each in await store.replicas()] == [
            (f"127.0.0.1:{server.port}", "whole") for server in own.servers
        ]


async def test_upkeep_is_of_all_shards(own: Cluster) -> None:
    """What is erased, or is below the floor, is gone from each."""
    database = own.database()
    async with opened(own.url(database, cluster=SHARDS)) as store:
        await fill(store)
        erased = await store.erase(make_filter(projects=("a", "b")))
        assert (erased.exchanges, await store.read(CountQuery(Filter()))) == (2, Count(2, 0))
        assert set.union(*here(own, database)) == {"c", "d"}
        await store.move_floors(1 << 61, 1 << 61)
        assert (await store.purge(1000)).rows == 2
        assert here(own, database) == [set(), set()]


async def test_a_shard_that_is_away(own: Cluster) -> None:
    """Its sidecars wait, the others go on; answers say that they lack something, and tails wait.
    Then all is there.
    """
    database = own.database()
    second = own.servers[1]

    url = own.url(database, cluster=SHARDS)
    async with opened(url) as store:
        first = await fill(store)
        await reached(store, max(record.seq for record in first.values()))
        end = await store.last_seq()
        stays, waits = here(own, database)
        second.kill()
        _, waiting = batch_of(min(waits), 2)
        with pytest.raises(StorageUnavailable):
            await store.commit(waiting)
        async with opened(url) as other:  # who comes meanwhile finds its way, too
            await other.commit(batch_of(min(stays), 2)[1])
            assert await other.read(CountQuery(Filter())) == Count(3, 0, exact=False)
        page = await store.read(RecordQuery(filter=Filter()))
        assert ({record.instance for record in page.records}, page.complete) == (stays, False)
        with pytest.raises(StorageUnavailable, match="a shard is away"):
            await store.read(RecordQuery(filter=Filter(), order="asc"))
        with pytest.raises(StorageUnavailable, match="a shard is away"):
            await store.get(first[min(waits)].id)
        with pytest.raises(StorageUnavailable, match="nothing is erased"):
            await store.erase(Filter())
        assert await store.last_seq() == end
        assert [each.state for each in await store.replicas()] == ["whole", "away"]
        second.start()
        await committed(store, waiting)
        assert await store.read(CountQuery(Filter())) == Count(6, 0)
        page = await store.read(RecordQuery(filter=Filter(), order="asc"))
        assert (len(page.records), page.complete) == (6, True)
        await reached(store, page.records[-1].seq)


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        (
            "clickhouse://127.0.0.1:{first}/{database}?cluster=shards",
            StorageMisconfigured,
            "no host of shard 2",
        ),
        (
            "clickhouse://127.0.0.1:{first}/{database}?cluster=nothing",
            StorageUnavailable,
            "knows no cluster nothing",
        ),
    ],
)
async def test_an_address_that_does_not_fit(
    own: Cluster, url: str, error: type[Exception], words: str
) -> None:
    """It is refused in words, and nothing is made."""
    database = own.database()
    with pytest.raises(error, match=words):
        async with opened(url.format(first=own.servers[0].port, database=database)):
            pass
    for server in own.servers:
        assert server.ask(f"SHOW TABLES FROM {database}") == ""
