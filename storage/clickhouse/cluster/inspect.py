"""Inspection of a cluster for `sidelog doctor`: what each of its hosts says of the others. Changes nothing."""

from dataclasses import dataclass
from typing import Final

from storage.clickhouse.address import Address
from storage.clickhouse.cluster.opening import SHARDS
from storage.clickhouse.cluster.replicas import ClusterLink, Copy
from storage.clickhouse.cluster.watching import look
from storage.clickhouse.link import over_tables
from storage.errors import StorageUnavailable
from storage.query import Replica

LIMIT_S: Final = 5.0
_MACRO: Final = "SELECT substitution FROM system.macros WHERE macro = 'replica'"
_COORDINATOR: Final = "SELECT count() FROM system.zookeeper WHERE path = '/'"
_TABLES: Final = (
    "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE 'Replicated%' "
    "AND name NOT LIKE 'claim%'"
)


@dataclass(frozen=True, slots=True)
class Host:
    """What one host that answers says of itself and its cluster."""

    host: str
    shards: int
    """Of the cluster; 0: it knows none of that name."""
    replica: str
    """Its macro; empty: it has none."""
    refusal: str
    """What its coordinator, or the way to it, answered; empty: it is there."""
    tables: frozenset[str]
    """Replicated tables that it has, of those that stay."""


@dataclass(frozen=True, slots=True)
class ClusterInspection:
    """What was found."""

    hosts: list[Host]
    """Those that answered."""
    replicas: list[Replica]
    """Of all hosts of the address; empty where no sidelog has made tables yet."""

    @property
    def missing(self) -> dict[str, list[str]]:
        """Tables that a host lacks and another one has, by host."""
        every = frozenset[str]().union(*(host.tables for host in self.hosts))
        return {host.host: sorted(every - host.tables) for host in self.hosts if every - host.tables}


async def inspect_cluster(address: Address) -> ClusterInspection:
    """Ask every host of an address for its cluster; those that do not answer are left out."""
    link = ClusterLink(address, is_read_only=True)
    try:
        hosts = []
        for copy in link.copies:
            try:
                hosts.append(await _ask(copy))
            except StorageUnavailable:
                continue
        has_tables = any(host.tables for host in hosts)
        return ClusterInspection(hosts, await look(link) if has_tables else [])
    finally:
        await link.close()


async def _ask(copy: Copy) -> Host:
    link = copy.link
    [(shards,)] = await link.fetch(SHARDS, (link.address.cluster,), limit_s=LIMIT_S)
    macros = await link.fetch(_MACRO, limit_s=LIMIT_S)
    tables = await over_tables(lambda: link.fetch(_TABLES, limit_s=LIMIT_S))
    refusal = ""
    try:
        await link.fetch(_COORDINATOR, limit_s=LIMIT_S)
    except StorageUnavailable as error:
        refusal = str(error)
    return Host(copy.host, shards, macros[0][0] if macros else "", refusal, frozenset(name for (name,) in tables))
