"""Statements of a cluster over every engine: the current one has no cluster here, and says what it makes of them."""

from urllib.parse import urlsplit

import pytest

from storage.clickhouse.address import Address
from storage.clickhouse.cluster import claims
from storage.clickhouse.cluster.catching_up import prints
from storage.clickhouse.cluster.engines import made_for
from storage.clickhouse.cluster.opening import prepare
from storage.clickhouse.cluster.replicas import ClusterLink
from storage.clickhouse.layout import migrate
from storage.clickhouse.link import Link
from storage.clickhouse.writes.journal import COMMITS
from storage.errors import StorageUnavailable
from tests.support.clickhouse import Server


def address_of(url: str) -> Address:
    """Read an address."""
    return Address.of(urlsplit(url))


async def test_a_server_without_the_cluster(engine: Server) -> None:
    """It is refused in words."""
    url = f"{engine.url(engine.database())}?cluster=main"
    link = ClusterLink(address_of(url))
    with pytest.raises(StorageUnavailable, match="knows no cluster main"):
        await prepare(link)
    await link.close()


async def test_a_server_without_a_coordinator(link: Link) -> None:
    """Tables are refused for want of ZooKeeper, and for nothing else."""
    address = address_of(f"clickhouse://a/{link.address.database}?cluster=main")
    claim = claims.TABLE.format(name="claim_log_1", content="00ff", path="'/sidelog/1'")
    for statement in (made_for(address, COMMITS), claim):
        with pytest.raises(StorageUnavailable, match=r"(?i)zookeeper"):
            await link.execute(statement.replace("{replica}", "first"), limit_s=30)


async def test_tables_are_compared(link: Link) -> None:
    """What is compared of a replica is a number for each table."""
    await migrate(link)
    rows = await link.fetch(prints(10), limit_s=30)
    assert {name for name, *_ in rows} >= {"records", "bodies", "commits", "erased", "register_marks"}
    assert {count for _, count, _ in rows} == {0}
