"""The cap on size: slices of the oldest rows by `seq`, bodies of the older half before any row.

Strategy: a slice is one commit that says up to which `seq` nothing, or no body, is shown. The server gives the space
back when it is told to, a day's partitions at once, the rest by writing parts anew.

Invariant: after each slice all answers are those of the rows that are left.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from functools import partial
from typing import Final

from storage.clickhouse.link import LIMIT_S, Link
from storage.clickhouse.upkeep.parts import SEQ, delete, drop, is_busy, listed
from storage.clickhouse.upkeep.purge import Change
from storage.clickhouse.upkeep.state import Upkeep
from storage.purge import Trimmed, TrimStep, next_trim
from storage.relational.session import Session

_TAKEN: Final = "SELECT count(), max(started_at_us) FROM records WHERE seq BETWEEN $1 AND $2 AND {}"
_MIN_SHARE: Final = 8
"""Space of a table is given back when an eighth of its rows is hidden."""


async def trim(session: Session, change: Change, max_rows: int) -> Trimmed:
    """Take one slice; see `Storage.trim`.

    Args:
        session: To read from.
        change: Changes what is true of the store.
        max_rows: Of the slice.
    """
    state = await session.state()
    first, bodies_through = state.purged_through_seq + 1, state.bodies_through_seq
    while (step := next_trim(first, state.last_seq, bodies_through, max_rows)) is not None:
        if step.what == "bodies":
            await change(partial(_without_bodies, step=step))
            return Trimmed(0, step.last_seq - step.first_seq + 1)
        sql = _TAKEN.format(session.dialect.committed)
        [(rows, until_us)] = await session.fetch(sql, (step.first_seq, step.last_seq))
        if rows:
            await change(partial(_without_rows, step=step, until_us=until_us))
            return Trimmed(rows, 0)
        first = step.last_seq + 1  # all of them were erased, or purged
    return Trimmed(0, 0)


async def give_back(link: Link, session: Session) -> None:
    """Have the server give back the space of what is hidden; it does so in its own time."""
    state = await session.state()
    through = dict.fromkeys(SEQ, state.purged_through_seq)
    through["bodies"] = max(state.bodies_through_seq, state.purged_through_seq)
    if not any(through.values()):
        return
    for partition in await listed(link):
        least_us, most_us = partition.bounds_us
        sql = f"SELECT max({SEQ[partition.table]}) FROM {partition.table} WHERE started_at_us BETWEEN $1 AND $2"
        [(last,)] = await link.fetch(sql, (least_us, most_us), limit_s=LIMIT_S)
        if last <= through[partition.table]:
            await drop(link, partition)
    if not await is_busy(link):
        for table, seq in SEQ.items():
            sql = f"SELECT countIf({seq} <= $1) * {_MIN_SHARE} > count() FROM {table}"
            if (await link.fetch(sql, (through[table],), limit_s=LIMIT_S))[0][0]:
                await delete(link, table, f"{seq} <= $1", (through[table],))


def _without_bodies(upkeep: Upkeep, step: TrimStep) -> Upkeep:
    return upkeep._replace(bodies_through_seq=max(upkeep.bodies_through_seq, step.last_seq))


def _without_rows(upkeep: Upkeep, step: TrimStep, until_us: int) -> Upkeep:
    return upkeep._replace(
        purged_through_seq=max(upkeep.purged_through_seq, step.last_seq),
        trims=upkeep.trims + 1,
        trimmed_until_us=max(upkeep.trimmed_until_us, until_us),
    )
