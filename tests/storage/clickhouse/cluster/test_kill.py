"""Kills of the servers of a cluster, of its coordinator and of writers, at any moment under load."""

import asyncio
from urllib.parse import urlsplit

import pytest

from storage.clickhouse.store import ClickhouseStorage
from storage.clickhouse.wire.address import Address
from tests.storage.clickhouse.test_kill import DELAY_MS, Victim, Writers, check, settled, survive
from tests.support.clickhouse_cluster import own_cluster
from tests.support.sidelog import eventually

pytestmark = pytest.mark.clickhouse

PAUSE_S = 4.0
CATCH_UP_S = 120.0
"""A replica that was killed asks every 10 s whether its old session is over."""


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(10, marks=pytest.mark.timeout(300)),
        pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
)
@pytest.mark.parametrize("named", ["shards", "both"])
async def test_a_cluster_whose_servers_and_writers_are_killed(named: str, rounds: int) -> None:
    """Two shards, or two replicas: nothing is lost, doubled or torn, and a tail sees each record
    once, in order.
    """
    with own_cluster() as own:
        database = own.database()
        url = own.url(database, cluster=named)
        victims: list[Victim] = (
            [*own.servers] if named == "shards" else [*own.servers, own.zookeeper]
        )
        count = f"SELECT count() FROM {database}.records_local WHERE kind = 0"

        def counted() -> list[int]:
            return [int(server.ask(count)) for server in own.servers]

        async with await ClickhouseStorage.open(
            Address.of(urlsplit(url)), order_delay_ms=DELAY_MS
        ) as store:
            stored = len(await survive(victims, Writers(url), store, rounds, PAUSE_S))
            if named == "both":
                await asyncio.to_thread(eventually, lambda: len(set(counted())) == 1, CATCH_UP_S)
            rows = await settled(store)
            check(rows)
            assert len(rows) >= stored
            assert sum(counted()) == len(rows) * (2 if named == "both" else 1)
