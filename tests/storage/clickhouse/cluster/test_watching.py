"""What an operator is told of replicas: by a running store, and by `sidelog doctor`."""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from proxy.cli.commands.doctor.databases import check_clickhouse
from storage.clickhouse.address import Address
from storage.clickhouse.cluster.inspect import inspect_cluster
from storage.clickhouse.store import ClickhouseStorage
from tests.storage.clickhouse.cluster.test_replicas import CATCH_UP_S, committed
from tests.storage.samples import make_batch, make_record
from tests.support.clickhouse_cluster import Cluster, cluster

pytestmark = [pytest.mark.clickhouse, pytest.mark.timeout(600), pytest.mark.usefixtures("patience")]


async def states(store: ClickhouseStorage) -> list[str]:
    """The state of each replica."""
    return [replica.state for replica in await store.replicas()]


async def until(store: ClickhouseStorage, is_so: Callable[[list[str]], bool]) -> None:
    """Commit until replicas are in some states."""
    async with asyncio.timeout(CATCH_UP_S):
        while not is_so(await states(store)):
            await committed(store, make_batch(make_record()))


def told(url: str) -> list[tuple[str, str]]:
    """What doctor finds, without the clocks."""
    return [(finding.state, finding.text) for finding in check_clickhouse("storage", url)]


def has(findings: list[tuple[str, str]], state: str, text: str) -> bool:
    """Whether something is found in some words."""
    return any(found == state and text in words for found, words in findings)


async def test_each_replica_is_told_as_it_is(own: Cluster) -> None:
    """Whole; away with the reason; left out when it is back and lacks what came since; whole again."""
    url = own.url(own.database())
    first, second = own.servers
    async with await ClickhouseStorage.open(Address.of(urlsplit(url))) as store:
        assert await states(store) == ["whole", "whole"]
        await committed(store, make_batch(make_record()))
        names = [(replica.name, replica.host) for replica in await store.replicas()]
        assert names == [("first", f"127.0.0.1:{first.port}"), ("second", f"127.0.0.1:{second.port}")]
        assert {replica.version.partition(".")[0] for replica in await store.replicas()} == {"18"}
        assert has(await asyncio.to_thread(told, url), "ok", "all 2 replicas have everything")
        second.kill()
        await committed(store, make_batch(make_record()))
        whole, away = await store.replicas()
        assert (whole.state, away.state) == ("whole", "away")
        assert away.name == "second"
        assert f"127.0.0.1:{second.port}" in away.reason
        findings = await asyncio.to_thread(told, url)
        assert has(findings, "warn", f"127.0.0.1:{second.port}")
        assert not has(findings, "ok", "replicas have everything")
        second.start()
        # Nothing is committed meanwhile, so it is not taken in.
        assert await states(store) == ["whole", "left_out"]
        assert has(await asyncio.to_thread(told, url), "warn", "the replica second at")
        await until(store, lambda shown: shown == ["whole", "whole"])


async def test_a_coordinator_that_is_away_is_told(own: Cluster) -> None:
    """Nobody knows which replicas have everything; when it is back, they are as before."""
    url = own.url(own.database())
    async with await ClickhouseStorage.open(Address.of(urlsplit(url))) as store:
        await committed(store, make_batch(make_record()))
        own.zookeeper.kill()
        assert await states(store) == ["unknown", "unknown"]
        assert has(await asyncio.to_thread(told, url), "fail", "has no coordinator")
        own.zookeeper.start()
        await until(store, lambda shown: shown == ["whole", "whole"])


def test_a_database_that_was_never_used_is_left_alone() -> None:
    """Its servers are asked for the cluster, and nothing is made."""
    running = cluster()
    database = running.database()
    findings = told(running.url(database))
    assert {state for state, _ in findings} == {"ok"}
    for server in running.servers:
        assert server.ask(f"SHOW TABLES FROM {database}") == ""


@pytest.mark.parametrize(
    ("named", "words"), [("shards", "has 2 shards, and sidelog writes to one"), ("nothing", "knows no cluster nothing")]
)
def test_a_cluster_that_cannot_be_used_is_a_failure(named: str, words: str) -> None:
    """Of a name that the servers do not have, or with several shards."""
    running = cluster()
    assert has(told(running.url(running.database(), cluster=named)), "fail", words)


async def test_a_host_that_lacks_a_table_is_told() -> None:
    """By its name, and what it lacks."""
    running = cluster()
    database = running.database()
    url = running.url(database)
    address = Address.of(urlsplit(url))
    async with await ClickhouseStorage.open(address):
        running.servers[1].ask(f"DROP TABLE {database}.heads")
        seen = await inspect_cluster(address)
        assert seen.missing == {f"127.0.0.1:{running.servers[1].port}": ["heads"]}
        assert has(await asyncio.to_thread(told, url), "warn", "lacks tables that others have: heads")
