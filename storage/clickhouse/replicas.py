"""Replicas: how much of the committed data each one has, according to its server and the
coordinator.

Strategy: an insert is committed once it is in the coordinator's log. A replica moves log entries to
a queue of its own, and shows the rows of an entry after it has fetched them. So a replica shows
everything that was committed before a moment if its position in the log has passed the end at that
moment, and its queue has no insert. This holds even if the writer is gone and no other replica has
the rows yet. A replica that has just started is read-only until it has read its queue: it knows its
position in the log, but not the inserts it lacks.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from storage.clickhouse.wire.answers import Away
from storage.clickhouse.wire.link import Link, Row, at_once
from storage.errors import StorageUnavailable
from storage.query import Replica

_LOOK_AGAIN_S: Final = (0.0, 0.0, 0.02, 0.05, 0.1, 0.2)
_ON_THEIR_WAY_S: Final = (0.02, 0.1, 0.5, 1.0, 0.0)
"""Pauses between looks for rows that were just stored."""
_CLOCK_S: Final = 1
"""Resolution of servers' times."""
_WHOLE_S: Final = 30.0
"""Longest wait for a server. One that could not fetch missing rows tries again after 10 to 11 s."""
_LOG: Final = (
    "SELECT toInt64(if(is_readonly, 0, total_replicas)), toInt64(log_max_index), "
    "toInt64(log_pointer), "
    "toInt64(inserts_in_queue), toInt64(toUnixTimestamp(now())) - "
    "toInt64(toUnixTimestamp(inserts_oldest_time)), zookeeper_path "
    "FROM system.replicas WHERE database = currentDatabase() AND table = {}"
)
_ENTRIES: Final = "SELECT toInt64(count()) FROM system.zookeeper WHERE path = $1"
_STATE: Final = (
    "SELECT replica_name, is_readonly, toInt64(queue_size), absolute_delay, "
    "toInt64(total_replicas), "
    "log_pointer > log_max_index AND inserts_in_queue = 0, "
    "log_pointer = 0 AND log_max_index = 0, zookeeper_path "
    "FROM system.replicas WHERE database = currentDatabase() AND table = 'records'"
)


async def whole_until_s(link: Link, table: str) -> float:
    """Return the time, on the monotonic clock, up to which one server shows everything committed.

    It is in the past if the server has much to fetch, and minus infinity if unknown.
    """
    sql = _LOG.format(f"'{table}'")
    end = -1
    is_behind_end = False
    asked_s = time.monotonic()

    for pause_s in _LOOK_AGAIN_S:
        await asyncio.sleep(pause_s)
        looked_s = time.monotonic()
        rows = await link.fetch(sql)
        if not rows:
            return asked_s  # the table is not replicated

        [(replicas, newest, following, inserts, age_s, path)] = rows
        if not replicas:
            # The server has no coordinator, or has just started.
            asked_s = time.monotonic()
            end = -1
            is_behind_end = False
        elif is_behind_end:
            # The queue was read before the position in the log, so it is judged at the next look.
            if not inserts:
                return asked_s
            return min(asked_s, looked_s - float(age_s) - _CLOCK_S)
        elif not newest and not following and await _is_empty(link, path):
            return asked_s
        elif end < 0:
            end = newest

        is_behind_end = end >= 0 and following > end

    return -math.inf


async def _is_empty(link: Link, path: str) -> bool:
    """True if the log of a table has no entries.

    Its positions are then the same as for a log whose first entry, number 0, was not taken yet.
    """
    [(entries,)] = await link.fetch(_ENTRIES, (f"{path}/log",))
    return not entries


async def whole(link: Link, table: str) -> Link:
    """Return a link to the replica in use, once it shows everything committed before.

    Raises:
        StorageUnavailable: It does not within 30 s.
    """
    if not link.is_replicated:
        return link
    current = link.current
    await _await_whole(current, table)
    return current


async def find_rows(
    link: Link, table: str, sql: str, parameters: Sequence[Any]
) -> tuple[Link, list[Row]]:
    """Look for rows of a table that may be on their way to the replica in use: several times, then
    once more when it shows everything committed. Return its link, too.

    Raises:
        StorageUnavailable: The replica does not show everything within 30 s.
    """
    current = link.current
    for pause_s in _ON_THEIR_WAY_S:
        rows = await current.fetch(sql, parameters)
        if rows:
            return current, rows
        await asyncio.sleep(pause_s)

    current = await whole(link, table)
    return current, await current.fetch(sql, parameters)


async def all_whole(link: Link, table: str) -> None:
    """Wait until each answering replica of a shard shows everything committed before.

    Raises:
        StorageUnavailable: One of them does not within 30 s.
    """

    async def wait(copy: Link) -> None:
        with suppress(Away):
            await _await_whole(copy, table)

    if link.is_replicated:
        await at_once(wait, link.each)


async def _await_whole(replica: Link, table: str) -> None:
    began_s = time.monotonic()
    while await whole_until_s(replica, table) < began_s:
        if time.monotonic() - began_s > _WHOLE_S:
            raise StorageUnavailable(
                f"clickhouse: {replica.hosts[0]} lacks rows of {table} that were committed"
            )
        await asyncio.sleep(_LOOK_AGAIN_S[-1])


async def look(link: Link) -> list[Replica]:
    """Return the state of each replica of a shard, asked at the same time."""
    return await at_once(_look, link.each)


async def _look(link: Link) -> Replica:
    host = link.address.hosts[0].partition("://")[2]
    try:
        [(version,)] = await link.fetch("SELECT version()")
        rows = await link.fetch(_STATE)
    except StorageUnavailable as error:
        return Replica(host=host, reason=str(error))

    if not rows:
        return Replica(host=host, version=version, has_all=True)

    [(name, is_read_only, waiting, delay_s, replicas, has_all, is_at_first, path)] = rows
    if replicas and is_at_first:
        try:
            has_all = await _is_empty(link, path)
        except StorageUnavailable:
            has_all = False

    return Replica(
        host=host, name=name, version=version, has_all=bool(has_all) if replicas else None,
        is_read_only=bool(is_read_only), waiting=waiting, delay_s=float(delay_s),
    )  # fmt: skip
