"""Kills of replicas, coordinator and writer, at any moment: every record is there once, on every replica."""

import random
import time
from collections.abc import Callable
from itertools import cycle

import pytest

from tests.storage.clickhouse.test_kill import check, last_seq, writing
from tests.support.clickhouse import Server
from tests.support.clickhouse_cluster import Cluster, own_cluster
from tests.support.sidelog import eventually

pytestmark = [pytest.mark.clickhouse, pytest.mark.timeout(600)]

CATCH_UP_S = 120.0
"""A replica that was killed asks every 10 s whether its old session is over."""


def check_all(cluster: Cluster, database: str) -> int:
    """Compare rows with the journal on every replica, once they have the same; returns how many there are."""
    first, second = cluster.servers
    eventually(lambda: last_seq(first, database) == last_seq(second, database), timeout_s=CATCH_UP_S)
    eventually(lambda: not any(map(waiting, cluster.servers)), timeout_s=CATCH_UP_S)
    assert check(first, database) == check(second, database)
    return check(first, database)


def waiting(server: Server) -> int:
    """How many parts a replica still has to fetch."""
    return int(server.ask("SELECT sum(inserts_in_queue) FROM system.replicas"))


def victims(cluster: Cluster) -> list[tuple[Callable[[], None], Callable[[], None]]]:
    """What can be killed, and how it is started again."""
    first, second = cluster.servers
    zookeeper = cluster.zookeeper
    return [
        (first.kill, first.start),
        (zookeeper.kill, zookeeper.start),
        (second.kill, second.start),
    ]


@pytest.mark.parametrize("rounds", [3, pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(3600)])])
def test_replicas_coordinator_and_writers_that_are_killed(rounds: int) -> None:
    """In turns, under load: nothing is missing and nothing twice, on either replica."""
    with own_cluster() as cluster:
        database, chance = cluster.database(), random.Random(rounds)
        url = cluster.url(database)
        kills = cycle(victims(cluster))
        for seed in range(rounds):
            kill, start = next(kills)
            with writing(url, seed):
                time.sleep(chance.uniform(0.1, 1.0))
                kill()
                time.sleep(chance.uniform(0.0, 1.5))
                start()
                time.sleep(chance.uniform(0.1, 1.5))
        before = last_seq(cluster.servers[0], database)
        with writing(url, rounds):
            eventually(lambda: last_seq(cluster.servers[0], database) > before, timeout_s=CATCH_UP_S)
        assert check_all(cluster, database) > before


def test_the_other_replica_goes_on() -> None:
    """While one is away records are stored, and read; it is taken in again when it has caught up."""
    with own_cluster() as cluster:
        database = cluster.database()
        first, second = cluster.servers
        with writing(cluster.url(database), 1):
            eventually(lambda: last_seq(second, database) > 0, timeout_s=CATCH_UP_S)
            first.kill()
            gone = last_seq(second, database)
            eventually(lambda: last_seq(second, database) > gone, timeout_s=CATCH_UP_S)
            first.start()
            both = f"SELECT count() FROM {database}.commits WHERE length(replicas) = 2 AND last_seq > {gone + 1000}"
            eventually(lambda: int(first.ask(both)) > 0, timeout_s=2 * CATCH_UP_S)
        assert check_all(cluster, database) > gone
