"""How the replicas of a cluster are, for whoever looks after them: asked for, never decided by.

Strategy: each host is asked for itself, all at the same time, so one that hangs hides nothing of the others. Which of
them have everything is read from the log, by the first host that can.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from storage.clickhouse.answers import NotThere
from storage.clickhouse.cluster.replicas import ClusterLink, Copy
from storage.clickhouse.cluster.terms import replicas_of_newest
from storage.clickhouse.link import LIMIT_S
from storage.errors import StorageUnavailable
from storage.query import Replica

_STATE: Final = (
    "SELECT version(), max(is_readonly), sum(queue_size), max(absolute_delay) FROM system.replicas "
    "WHERE database = currentDatabase() AND table NOT LIKE 'claim%'"
)
"""Without the tables of claims, which come and go; no column that its server would ask ZooKeeper for."""


async def look(link: ClusterLink) -> list[Replica]:
    """Ask all replicas; one that does not answer is told with its reason."""
    async with asyncio.TaskGroup() as asking:
        asked = [asking.create_task(_ask(copy)) for copy in link.copies]
    found = [task.result() for task in asked]
    whole = await _whole([copy for copy, replica in zip(link.copies, found, strict=True) if not replica.reason])
    if whole is None:
        return found
    return [replica if replica.reason else replace(replica, has_all=replica.name in whole) for replica in found]


async def _ask(copy: Copy) -> Replica:
    host, name = copy.host, ""
    try:
        name = await copy.name()
        [(version, is_read_only, waiting, delay_s)] = await copy.link.fetch(_STATE, limit_s=LIMIT_S)
    except NotThere:
        return Replica(host=host, name=name, reason="a table was dropped while it was asked")
    except StorageUnavailable as error:
        return Replica(host=host, name=name, reason=str(error))
    return Replica(
        host=host, name=name, version=version, is_read_only=bool(is_read_only), waiting=waiting, delay_s=float(delay_s)
    )


async def _whole(copies: Sequence[Copy]) -> Sequence[str] | None:
    """Read which replicas have everything; None where no coordinator tells."""
    for copy in copies:
        try:
            named = await replicas_of_newest(copy.link)
            # Before the first entry there is nothing that one could lack.
            return [await each.name() for each in copies] if named is None else named
        except StorageUnavailable:
            continue
    return None
