"""Retention by age: rows below the floors go by the day, and its own day's when that is cheap.

Strategy: a day below a floor is a partition and is dropped, whatever is in it. The day in which the floor lies would
have to be written anew, hour by hour: that is done while it is small, else its rows, which nobody sees, wait for the
day's end. Everything goes in the first call; how many rows that were is told in slices of the size asked for.

Invariant: only rows that no reader sees any more are deleted.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from collections.abc import Awaitable, Callable
from typing import Final

from storage.clickhouse.link import LIMIT_S, Link
from storage.clickhouse.upkeep.measure import first_row
from storage.clickhouse.upkeep.parts import Partition, await_quiet, delete, drop, listed
from storage.clickhouse.upkeep.state import Upkeep
from storage.purge import Purged
from storage.relational.session import Session, State

REWRITTEN_BYTES: Final = 256 << 20
"""A partition of at most this size is written anew without the rows below a floor."""
_QUIET_S: Final = 30.0
"""How long is waited for that."""
_FORGET_COMMITS: Final = 1000
"""Commits whose rows are all gone are forgotten, so many at once at least."""
_SPENT: Final = (
    "last_seq <= $1 AND attempt NOT IN (SELECT max(attempt) FROM commits GROUP BY instance) "
    "AND attempt < (SELECT max(attempt) FROM commits)"
)

Change = Callable[[Callable[[Upkeep], Upkeep]], Awaitable[None]]
"""Changes what is true of the store beside its rows, in the order of commits."""


class Purge:
    """Deletes what is below the floors of one store."""

    def __init__(self, link: Link, change: Change) -> None:
        self._link = link
        self._change = change
        self._untold = 0
        """Rows that went, and that nobody was told of."""

    async def purge(self, session: Session, max_rows: int) -> Purged:
        """Delete, or tell more of what was deleted; see `Storage.purge`.

        Args:
            session: To read from.
            max_rows: How many are told of at most.
        """
        if not self._untold:
            self._untold = await self._delete(session)
            if self._untold:
                await self._note_first(session)
        rows = min(self._untold, max_rows)
        self._untold -= rows
        return Purged(rows, 0, is_done=not rows)

    async def _delete(self, session: Session) -> int:
        state = await session.state()
        rows = 0
        rewritten = False
        for partition in await listed(self._link):
            floor_us = _floor_us(partition.table, state)
            least_us, most_us = partition.bounds_us
            if not floor_us or least_us >= floor_us:
                continue
            is_gone = most_us < floor_us
            if not is_gone and partition.size_bytes > REWRITTEN_BYTES:
                continue
            is_told = partition.table == "records"
            # Counted before they go.
            wanted = is_told or not is_gone
            below = await self._rows_below(partition, floor_us, session.dialect.committed) if wanted else 0
            if is_gone:
                await drop(self._link, partition)
            elif below:
                rewritten = True
                await delete(self._link, partition.table, "started_at_us < $1", (floor_us,))
            rows += below if is_told else 0
        if rewritten:
            await await_quiet(self._link, _QUIET_S)
        return rows

    async def _rows_below(self, partition: Partition, floor_us: int, committed: str) -> int:
        least_us, most_us = partition.bounds_us
        sql = f"SELECT count() FROM {partition.table} WHERE started_at_us BETWEEN $1 AND $2 AND {committed}"
        bounds = (least_us, min(most_us, floor_us - 1))
        return int((await self._link.fetch(sql, bounds, limit_s=LIMIT_S))[0][0])

    async def _note_first(self, session: Session) -> None:
        """Note up to where nothing is left, so that nobody looks there; commits of rows that are gone are forgotten."""
        first = await first_row(session)
        through = (await session.state()).last_seq if first is None else first[0] - 1
        await self._change(lambda upkeep: upkeep._replace(purged_through_seq=max(upkeep.purged_through_seq, through)))
        [(spent,)] = await self._link.fetch(f"SELECT count() FROM commits WHERE {_SPENT}", (through,), limit_s=LIMIT_S)
        if spent >= _FORGET_COMMITS:
            await delete(self._link, "commits", _SPENT, (through,))


def _floor_us(table: str, state: State) -> int:
    return state.body_floor_us if table in ("bodies", "waiting_calls") else state.purge_floor_us
