"""The servers of a store: a single one, or those of the user's cluster by shard. Made by
`open_shards`.

Strategy: each host reports its shard. For a host that does not answer, the register remembers its
last report. The first shard has the register, and a table `records` that reads the rows of all
shards. Without it nothing is read or changed, but a sidecar that already writes to another shard
continues.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeVar

from storage.clickhouse.engine.server import Server
from storage.clickhouse.engine.version import read_server
from storage.clickhouse.register.register import Register
from storage.clickhouse.tables import OWN_RECORDS, Layout, Place, check_tables, make_tables
from storage.clickhouse.wire.address import Address
from storage.clickhouse.wire.answers import Away, NotThere
from storage.clickhouse.wire.link import Link, Row, at_once
from storage.errors import StorageMisconfigured, StorageUnavailable

T = TypeVar("T")

PLACES: Final = (
    "SELECT toInt64(shard_num), toInt64(count()), max(is_local) "
    "FROM system.clusters WHERE cluster = $1 "
    "GROUP BY shard_num ORDER BY shard_num"
)
"""For each shard of a cluster: its number, its number of replicas, and whether the answering server
is one of them.
"""
_HOST: Final = "host/"


@dataclass(frozen=True, slots=True)
class Shards:
    """Links to the servers of a store."""

    reads: Link
    """Link to the servers whose table `records` covers all shards."""
    links: Sequence[Link]
    """One link to each shard, in order."""
    server: Server
    layout: Layout
    silent: set[str] = field(default_factory=set)
    """Hosts that have not answered yet, and so may lack tables."""

    async def on_each(self, work: Callable[[Link], Awaitable[T]]) -> list[T]:
        """Run a function on each shard.

        Raises:
            StorageUnavailable: It failed on a shard. It ran on the others.
        """
        return await at_once(work, self.links)

    async def there(self, sql: str) -> list[Row]:
        """Return the only row of a query from each shard that answers."""
        return [row for row in await self.on_each(partial(_row, sql)) if row is not None]

    async def make_missing(self) -> None:
        """Create the tables on hosts that did not answer when the store was opened."""
        if self.silent and (places := await _places(self.reads, self.silent)):
            await _prepare(self.reads, self.links, self.server, places, self.layout.order_delay_ms)
            self.silent.difference_update(places)

    async def close(self) -> None:
        for link in {self.reads, *self.links}:
            await link.close()


async def open_shards(address: Address, *, is_read_only: bool, order_delay_ms: int) -> Shards:
    """Connect to the servers, and create missing tables unless read-only.

    Raises:
        StorageUnavailable: It cannot be done at present.
        StorageMisconfigured: The address has no host of one of the cluster's shards.
        SchemaTooNew: A newer program created the tables.
        SchemaTooOld: An older one did, and it is read-only; or there are no tables.
    """
    reads = Link(address, is_read_only=is_read_only)
    opened = list[Link]()
    try:
        if not address.cluster:
            server = await read_server(reads)
            made = await (
                check_tables(reads) if is_read_only else make_tables(reads, server, order_delay_ms)
            )
            return Shards(reads, [reads], server, made)

        return await _open_cluster(
            address, reads, opened, order_delay_ms, is_read_only=is_read_only
        )
    except BaseException:
        for link in (reads, *opened):
            await link.close()
        raise


async def _open_cluster(
    address: Address, reads: Link, links: list[Link], order_delay_ms: int, *, is_read_only: bool
) -> Shards:
    places = await _places(reads, address.hosts)
    known = {host: place.shard for host, place in places.items()}
    first = tuple(host for host in address.hosts if known.get(host) == 1)
    if not first:
        raise Away(f"clickhouse: no host of the first shard of {address.cluster} answers")

    reads.hosts = list(first)
    silent = set(address.hosts) - places.keys()
    known |= await _remembered(reads, silent)

    for shard in range(1, max(place.shards for place in places.values()) + 1):
        hosts = tuple(
            sorted(
                (host for host in address.hosts if known.get(host) == shard),
                key=silent.__contains__,
            )
        )
        if not hosts and not silent:
            raise StorageMisconfigured(
                f"clickhouse: the address names no host of shard {shard} of {address.cluster}"
            )

        links.append(
            Link(replace(address, hosts=hosts), is_read_only=is_read_only, own_records=OWN_RECORDS)
        )

    server = await read_server(reads)
    for one in {copy for link in links for copy in (link, *link.each)}:
        one.settings |= reads.settings
    layout = await _prepare(reads, links, server, places, None if is_read_only else order_delay_ms)
    # This applies to subqueries that do not state it themselves.
    reads.settings |= {"distributed_product_mode": "global"}
    return Shards(reads, links, server, layout, silent)


async def _prepare(
    reads: Link,
    links: Sequence[Link],
    server: Server,
    places: Mapping[str, Place],
    order_delay_ms: int | None,
) -> Layout:
    """Create the tables on some servers, or check them, and store their shards in the register."""
    layouts: list[Layout] = []
    for link, one in [(shard, copy) for shard in links for copy in shard.each]:
        if one.address.hosts:
            place = places.get(one.address.hosts[0])
        else:
            place = None
        if place is None:
            continue

        link.is_replicated |= place.replicas > 1
        if order_delay_ms is None:
            layouts.append(await check_tables(one))
            continue

        # All tables get the delay of the first.
        if layouts:
            delay_ms = layouts[0].order_delay_ms
        else:
            delay_ms = order_delay_ms
        layouts.append(await make_tables(one, server, delay_ms, place, reads.to(one.hosts[0])))
        await Register(links[0], server).change(
            _HOST + one.hosts[0], partial(_noted, str(place.shard))
        )

    return Layout(layouts[0].number, max(layout.order_delay_ms for layout in layouts))


async def _places(reads: Link, hosts: Iterable[str]) -> dict[str, Place]:
    """Ask hosts for their place in the cluster; those that do not answer are left out."""
    cluster = reads.address.cluster
    places = {}

    async def ask(host: str) -> tuple[str, list[Row] | None]:
        return host, (await reads.to(host).fetch_each(PLACES, (cluster,)))[0]

    for host, rows in await at_once(ask, hosts):
        if rows is not None:
            places[host] = place_of(host, cluster, rows)
    return places


def place_of(host: str, cluster: str, rows: Sequence[Row]) -> Place:
    """Return a server's place from its answer to `PLACES`.

    Raises:
        StorageUnavailable: It does not know the cluster yet.
        StorageMisconfigured: It does not belong to the cluster.
    """
    if not rows:
        raise StorageUnavailable(f"clickhouse: {host} knows no cluster {cluster} (remote_servers)")
    here = next(((shard, replicas) for shard, replicas, is_local in rows if is_local), None)
    if here is None:
        raise StorageMisconfigured(
            f"clickhouse: {host} does not find itself in its own cluster {cluster} (is_local in "
            "system.clusters)"
        )

    return Place(len(rows), *here)


async def _remembered(reads: Link, silent: set[str]) -> dict[str, int]:
    """Return the shards of hosts that do not answer, from the register."""
    with suppress(NotThere):
        entries = await Register(reads, Server((0, 0))).entries(_HOST)
        return {host: int(entries[host].value) for host in silent if host in entries}
    return {}


def _noted(value: str, before: str) -> tuple[str, None]:
    return value, None


async def _row(sql: str, link: Link) -> Row | None:
    with suppress(Away):
        return (await link.fetch(sql))[0]
    return None
