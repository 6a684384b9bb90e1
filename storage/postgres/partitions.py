"""The days of the table of records: a partition for each day of UUIDv7 ids, made before it is needed.

Strategy: partitions are made for yesterday, today and the two days that follow, at start and once a day; ids of other
days go to the default partition. A day that already has rows there stays there, for making its partition would move
them. Statements that make partitions hold the same advisory lock as migrations.

Invariant: a failure to make a partition costs nothing but the default partition growing.
"""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from storage.postgres.connection import Connection, transaction

LOCK: Final = 0x5349_4445_4C4F_47
"""Key of the advisory lock: `SIDELOG`."""
DAYS_BEFORE: Final = 1
DAYS_AFTER: Final = 2
_LOCK_WAIT_MS: Final = 2000
"""Making a partition waits for every reader, and every other reader waits behind it: not for long."""
_DAY_MS: Final = 86_400_000
_MAX_MS: Final = (1 << 48) - 1
EVERY_ID: Final = (UUID(int=0), UUID(int=(1 << 128) - 1))
"""The smallest and the largest id there can be."""


def day_of(now_us: int) -> int:
    """Number a moment's day since the epoch."""
    return now_us // (1000 * _DAY_MS)


def name_of(day: int) -> str:
    """Name a day's partition, without its schema."""
    return f"records_{datetime.fromtimestamp(0, UTC) + timedelta(days=day):%Y%m%d}"


def id_bounds(first_ms: int, last_ms: int) -> tuple[UUID, UUID]:
    """Find the smallest and the largest id of a range of milliseconds, both inclusive."""
    return UUID(int=max(first_ms, 0) << 80), UUID(int=(min(last_ms, _MAX_MS) << 80) | ((1 << 80) - 1))


async def prepare(connection: Connection, today: int) -> None:
    """Make the partitions around a day that do not exist yet."""
    days = range(today - DAYS_BEFORE, today + DAYS_AFTER + 1)
    async with transaction(connection, "BEGIN READ ONLY"):
        found = await connection.fetch(
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'sidelog'::regnamespace AND relname = ANY($1)",
            [name_of(day) for day in days],
        )
    existing = {name for (name,) in found}
    for day in days:
        if name_of(day) not in existing:
            await _make(connection, day)


async def _make(connection: Connection, day: int) -> None:
    first, until = UUID(int=day * _DAY_MS << 80), UUID(int=(day + 1) * _DAY_MS << 80)
    begin = f"BEGIN; SET LOCAL lock_timeout = {_LOCK_WAIT_MS}; SELECT pg_advisory_xact_lock({LOCK})"
    async with transaction(connection, begin):
        has_rows = await connection.fetchval(
            "SELECT EXISTS (SELECT FROM sidelog.records_default WHERE id >= $1 AND id < $2)", first, until
        )
        if not has_rows:
            await connection.execute(
                f"CREATE TABLE IF NOT EXISTS sidelog.{name_of(day)} PARTITION OF sidelog.records "
                f"FOR VALUES FROM ('{first}') TO ('{until}')"
            )
