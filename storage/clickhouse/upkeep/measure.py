"""How far retention has come, and how much space is in use.

Strategy: bytes are those of the server's parts, less the share of rows that the cap on size has taken already, for the
server gives their space back later.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from collections.abc import Sequence
from typing import Final

from storage.clickhouse.link import LIMIT_S, Link
from storage.clickhouse.upkeep.parts import SEQ, Partition, listed
from storage.purge import RetentionState
from storage.relational.session import Session, State

_OTHERS: Final = (
    "SELECT sum(bytes_on_disk) FROM system.parts WHERE database = currentDatabase() AND active "
    f"AND table NOT IN ({', '.join(repr(table) for table in SEQ)})"
)
_HIDDEN: Final = " UNION ALL ".join(
    f"SELECT '{table}', count() FROM {table} WHERE {seq} <= {'$2' if table == 'bodies' else '$1'}"
    for table, seq in SEQ.items()
)
_TRIES: Final = 5
_FIRST_ROWS: Final = 100_000
"""Rows among which the first that is left is looked for first."""


async def retention(link: Link, session: Session) -> RetentionState:
    """Describe the store."""
    state = await session.state()
    first = await first_row(session, state.purge_floor_us)
    partitions = await listed(link)
    [(server_now_s,)] = await session.fetch("SELECT toInt64(toUnixTimestamp(now()))")
    return RetentionState(
        purge_floor_us=state.purge_floor_us,
        body_floor_us=state.body_floor_us,
        purged_through_seq=state.purged_through_seq,
        oldest_us=await _oldest_us(link, partitions),
        used_bytes=await _used_bytes(link, state, partitions),
        last_seq=state.last_seq,
        reaches_back_us=None if first is None else first[1],
        server_now_us=int(server_now_s) * 1_000_000,
    )


async def first_row(session: Session, floor_us: int | None = None) -> tuple[int, int] | None:
    """Find the first row that is left, and when it started; with a floor, the first that started above it."""
    state = await session.state()
    first, rows = state.purged_through_seq + 1, _FIRST_ROWS
    above = "" if not floor_us else f" AND started_at_us >= {floor_us}"
    while first <= state.last_seq:
        sql = (
            "SELECT count(), min(seq), argMin(started_at_us, seq) FROM records "
            f"WHERE seq BETWEEN $1 AND $2 AND {session.dialect.committed}{above}"
        )
        [(found, seq, started_at_us)] = await session.fetch(sql, (first, first + rows - 1))
        if found:
            return seq, started_at_us
        first, rows = first + rows, 10 * rows
    return None


async def _used_bytes(link: Link, state: State, partitions: Sequence[Partition]) -> int:
    """Measure the space in use, what the cap on size has taken not counted."""
    [(others,)] = await link.fetch(_OTHERS, limit_s=LIMIT_S)
    through = state.purged_through_seq, max(state.bodies_through_seq, state.purged_through_seq)
    hidden: dict[str, int] = {}
    for _ in range(_TRIES if any(through) else 0):
        hidden = dict(await link.fetch(_HIDDEN, through, limit_s=LIMIT_S))
        before, partitions = partitions, await listed(link)
        if _rows(partitions) >= _rows(before):
            break  # else some of the hidden were taken out meanwhile, of which both sides must know
    rows, sizes = dict.fromkeys(SEQ, 0), dict.fromkeys(SEQ, 0)
    for partition in partitions:
        rows[partition.table] += partition.rows
        sizes[partition.table] += partition.size_bytes
    used = sum(
        size * max(0, rows[table] - hidden.get(table, 0)) // max(1, rows[table]) for table, size in sizes.items()
    )
    return used + int(others or 0)


def _rows(partitions: Sequence[Partition]) -> int:
    return sum(partition.rows for partition in partitions)


async def _oldest_us(link: Link, partitions: Sequence[Partition]) -> int | None:
    oldest = next((partition for partition in partitions if partition.table == "records"), None)
    if oldest is None:
        return None
    # The bound lets the server look at this partition only.
    sql = "SELECT count(), min(started_at_us) FROM records WHERE started_at_us <= $1"
    [(rows, oldest_us)] = await link.fetch(sql, oldest.bounds_us[1:], limit_s=LIMIT_S)
    return int(oldest_us) if rows else None
