"""Partitions of the tables of records and of blocks, one for each day, created before they are
needed.

Strategy: at start and once a day, partitions are created for yesterday, today and the next two
days. Records are partitioned by their UUIDv7, blocks by their id, whose upper bits are the day.
Other days go to the default partition; a day with rows there gets no partition, because creating it
would move them. Statements that create partitions hold the same advisory lock as migrations.

Invariant: if a partition cannot be created, the default partition grows, without any other effect.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from storage.postgres.connection import BEGIN, Connection, transaction
from storage.record import format_id
from storage.relational.by_id import ID_BYTES, MAX_MS, id_ms

LOCK: Final = 0x5349_4445_4C4F_47
"""Key of the advisory lock: `SIDELOG`."""
DAYS_BEFORE: Final = 1
DAYS_AFTER: Final = 2
_LOCK_WAIT_MS: Final = 2000
"""Creating a partition waits for all readers, and blocks new ones meanwhile, so it soon gives up.
"""
_DAY_MS: Final = 86_400_000
BLOCK_DAY_BITS: Final = 47
"""Bits of a block's id below those of its day."""
EVERY_ID: Final = (bytes(ID_BYTES), b"\xff" * ID_BYTES)
"""The smallest and the largest possible id."""

_FIRST_ID: Final[dict[str, Callable[[int], bytes | int]]] = {
    "records": lambda day: id_bounds(day * _DAY_MS, 0)[0],
    "blocks": lambda day: day << BLOCK_DAY_BITS,
}
"""Table → the smallest id of a day."""
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


class Partition(NamedTuple):
    """One day of one table."""

    table: str
    day: int

    @property
    def name(self) -> str:
        return f"{self.table}_{_EPOCH + timedelta(days=self.day):%Y%m%d}"


def day_of(now_us: int) -> int:
    return now_us // (1000 * _DAY_MS)


def id_bounds(first_ms: int, last_ms: int) -> tuple[bytes, bytes]:
    """Return the smallest and the largest id of a range of milliseconds, both inclusive."""
    first = max(first_ms, 0).to_bytes(6, "big")
    last = min(last_ms, MAX_MS).to_bytes(6, "big")
    return first.ljust(ID_BYTES, b"\0"), last.ljust(ID_BYTES, b"\xff")


def of_whole_days(ids: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """Widen a range of ids to whole days, so that it only selects partitions.

    The newest ids are beyond the server's statistics: it would estimate that a short range of them
    has one row, and scan it.
    """
    first_ms, last_ms = map(id_ms, ids)
    return id_bounds(first_ms // _DAY_MS * _DAY_MS, last_ms // _DAY_MS * _DAY_MS + _DAY_MS - 1)


async def listed(connection: Connection) -> list[Partition]:
    """Return the partitions except the default ones, in order of time, a day's records before its
    blocks.
    """
    rows = await connection.fetch(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'sidelog'::regnamespace AND "
        "relispartition "
        "AND relkind = 'r' AND relname ~ '^(records|blocks)_[0-9]{8}$'"
    )
    found = []
    for (name,) in rows:
        table, _, day = name.partition("_")
        moment = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
        found.append(Partition(table, (moment - _EPOCH).days))

    return sorted(found, key=lambda partition: (partition.day, partition.table == "blocks"))


async def prepare(connection: Connection, today: int) -> None:
    async with transaction(connection, "BEGIN READ ONLY"):
        existing = set(await listed(connection))
    for day in range(today - DAYS_BEFORE, today + DAYS_AFTER + 1):
        for table in _FIRST_ID:
            if Partition(table, day) not in existing:
                await _make(connection, Partition(table, day))


async def _make(connection: Connection, partition: Partition) -> None:
    table, day = partition
    first = _FIRST_ID[table](day)
    until = _FIRST_ID[table](day + 1)

    begin = (
        f"{BEGIN}; SET LOCAL lock_timeout = {_LOCK_WAIT_MS}; SELECT pg_advisory_xact_lock({LOCK})"
    )
    async with transaction(connection, begin):
        has_rows = await connection.fetchval(
            f"SELECT EXISTS (SELECT FROM sidelog.{table}_default WHERE id >= $1 AND id < $2)",
            first,
            until,
        )
        if not has_rows:
            await connection.execute(
                f"CREATE TABLE IF NOT EXISTS sidelog.{partition.name} PARTITION OF sidelog.{table} "
                f"FOR VALUES FROM ('{_literal(first)}') TO ('{_literal(until)}')"
            )


def _literal(first_id: bytes | int) -> str:
    if isinstance(first_id, bytes):
        return format_id(first_id)
    return str(first_id)
