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
from storage.clickhouse.native import Column
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


async def test_what_an_erasure_that_failed_has_hidden_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others finish it and forget its slice: no replica has to have that for what is committed next."""
    link = ClusterLink(address_of("clickhouse://a,b/logs?cluster=main"))
    monkeypatch.setattr(link, "_post", _taken)
    for slice in (7, 8):
        link.begin_attempt()
        await link.insert("erased", (Column("seq", "Int64", [1, 2]), Column("slice", "Int64", [slice] * 2)), limit_s=1)
    assert [(one.where, one.least) for one in link.expected((1, 1), 1)] == [("slice = 8", 2)]
    link.begin_attempt()
    assert not link.expected((2, 2), 1)
    await link.close()


async def _taken(sql: str, data: bytes, limit_s: float, settings: dict[str, str]) -> bytes:
    return b""
