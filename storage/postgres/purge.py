"""Retention by day: drop the partition of a day without visible rows, to free its space at once.

Rows of other days are deleted in slices (`storage.relational.upkeep.purge`).
"""

from typing import Final

import asyncpg

from storage.postgres.connection import Connection, transaction
from storage.postgres.partitions import DAYS_BEFORE, Partition, listed
from storage.postgres.upkeep import PostgresUpkeep
from storage.purge import Purged
from storage.relational.blocks.payloads import BODIES, GROWN, HEADS
from storage.relational.session import State
from storage.relational.time_ranges import DAY_US
from storage.relational.upkeep.purge import note_oldest

_DROP_WAIT_MS: Final = 1000
"""Dropping a partition waits for all readers, and blocks new ones meanwhile, so it soon gives up.
"""
_DAY_MS: Final = DAY_US // 1000


async def drop_day(session: PostgresUpkeep, begin: str) -> Purged | None:
    """Drop the partition of one day below the floor, in a transaction that starts with the SQL
    `begin`. Return None without such a partition, or if readers hold it.
    """
    connection = session.connection
    try:
        async with transaction(connection, f"{begin}; SET LOCAL lock_timeout = {_DROP_WAIT_MS}"):
            state = await session.state()
            until_day = await _first_day(connection, state)
            for partition in await listed(connection):
                if partition.day < until_day and await _is_gone(connection, partition, state):
                    return await _drop(session, partition)
    except asyncpg.LockNotAvailableError:
        return None

    return None


async def _first_day(connection: Connection, state: State) -> int:
    """Return the first day that may have rows to keep, according to the floor and to the size cap."""
    least_ms = await connection.fetchval("SELECT min(min_id_ms) FROM sidelog.spans")
    if least_ms is None:
        trimmed = 0
    else:
        trimmed = least_ms // _DAY_MS - DAYS_BEFORE
    return max(state.purge_floor_us // DAY_US, min(trimmed, state.trimmed_until_us // DAY_US))


async def _is_gone(connection: Connection, partition: Partition, state: State) -> bool:
    if partition.table == "blocks":
        sql = (
            f"SELECT NOT EXISTS (SELECT FROM sidelog.{partition.name} "
            "WHERE kind = $1 AND newest_started_at_us >= $2)"
        )
        found = [
            await connection.fetchval(sql, kind, state.purge_floor_us)
            for kind in (HEADS, BODIES, GROWN)
        ]
        return all(found)

    return bool(
        await connection.fetchval(
            "SELECT NOT EXISTS (SELECT FROM sidelog.spans "
            "WHERE min_id_ms < $1 AND max_id_ms >= $2 AND max_started_at_us >= $3)",
            (partition.day + 1) * _DAY_MS,
            partition.day * _DAY_MS,
            state.purge_floor_us,
        )
    )


async def _drop(session: PostgresUpkeep, partition: Partition) -> Purged:
    connection = session.connection
    if partition.table == "records":
        measured = "count(*), 0"
    else:
        measured = "count(*), coalesce(sum(octet_length(data)), 0)::bigint"
    [(number, size)] = await connection.fetch(f"SELECT {measured} FROM sidelog.{partition.name}")
    await connection.execute(f"DROP TABLE sidelog.{partition.name}")
    if partition.table == "records":
        await note_oldest(session)
        return Purged(number, 0, is_done=False)

    await session.count_bytes(-size)
    return Purged(0, number, is_done=False)
