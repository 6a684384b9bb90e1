"""Opening a database of a cluster: its tables are made on every host of the address that answers."""

from typing import Final

from storage.clickhouse.cluster.claims import Claims
from storage.clickhouse.cluster.replicas import ClusterLink
from storage.clickhouse.cluster.terms import LOG
from storage.clickhouse.layout import check_layout, migrate
from storage.clickhouse.link import LIMIT_S, Link
from storage.clickhouse.register.changes import CHANGES
from storage.errors import SchemaTooOld, StorageMisconfigured, StorageUnavailable

SHARDS: Final = "SELECT uniqExact(shard_num) FROM system.clusters WHERE cluster = $1"
"""How many the cluster of a name has; 0: there is none."""


async def prepare(link: ClusterLink, *, is_read_only: bool = False) -> int:
    """Make the tables, or bring them up to date, on all hosts that answer; read-only, look at one.

    Returns:
        The number of the layout.

    Raises:
        StorageMisconfigured: The cluster has several shards.
        StorageUnavailable: No host can be used at present.
        SchemaTooNew: A newer program wrote it.
        SchemaTooOld: An older one did, and it was to be read only.
    """
    layout, reasons = 0, []
    too_old: SchemaTooOld | None = None
    for copy in link.copies:
        try:
            await _check_cluster(copy.link)
            layout = await (check_layout if is_read_only else migrate)(copy.link)
            await copy.name()
        except SchemaTooOld as error:
            # One that was just added, or was away since.
            too_old = error
            link.turn(copy.link.hosts[0])
        except StorageUnavailable as error:
            reasons.append(str(error))
            link.turn(copy.link.hosts[0])
    if not layout and too_old is not None:
        raise too_old
    if not layout:
        raise StorageUnavailable("; ".join(reasons))
    if not is_read_only:
        for name in (LOG, CHANGES):
            await Claims(link, name).create()
    return layout


async def _check_cluster(link: Link) -> None:
    cluster = link.address.cluster
    [(shards,)] = await link.fetch(SHARDS, (cluster,), limit_s=LIMIT_S)
    if not shards:
        raise StorageUnavailable(f"clickhouse: {link.hosts[0]} knows no cluster {cluster} (remote_servers)")
    if shards > 1:
        raise StorageMisconfigured(
            f"clickhouse: the cluster {cluster} has {shards} shards, and sidelog writes to one: name a cluster of the "
            "replicas of one shard (remote_servers), or give each shard a database and sidecars of its own"
        )
