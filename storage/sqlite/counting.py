"""Counting committed rows in the rollups, some commits after the rows themselves.

Strategy: a commit of ten records would change 60 rows of rollups, and take twice as long with them.
So the rollups count rows later: before the next read of figures, before rows are removed, when the
store is closed, and at the latest after `MAX_UNCOUNTED` rows. Many records of one endpoint are then
one change. Their sums are kept in memory; rows that a killed process left uncounted are read again by
the next one.

Invariant: the rollups are the sums of the rows up to the counter `counted_through`, without those
that were removed; the counter moves in the transaction that adds the sums.
"""

import sqlite3
from typing import Final

from storage.relational.slices import Range
from storage.relational.upkeep.removal import count
from storage.relational.upkeep.session import rows_within
from storage.relational.writes.packing import COLUMNS
from storage.sqlite.connection import counter
from storage.sqlite.upkeep import SqliteUpkeep

MAX_UNCOUNTED: Final = 500
"""Rows after which a commit has them counted: 10 ms."""
_COUNT: Final = "UPDATE meta SET value = ? WHERE name = 'counted_through'"


async def count_rows(session: SqliteUpkeep) -> bool:
    """Count the next rows, up to `MAX_UNCOUNTED`, in a transaction; return True if more are left."""
    counted = counter(session.connection, "counted_through")
    last_seq = (await session.state()).last_seq
    known = session.uncounted
    if known is not None and (known.after_seq, known.through_seq) == (counted, last_seq):
        await session.rollups.merge(session, known.sums, session.limits)
        await session.rollups.merge_usage(session, known.usage, session.usage_limits, 0)
        through = last_seq
    else:
        # A file in place of a damaged one goes on with its numbers, and has none of its rows.
        found = await session.fetch("SELECT min(seq) FROM records WHERE seq > ?", (counted,))
        first = found[0][0] or last_seq + 1
        through = min(first + MAX_UNCOUNTED - 1, last_seq)
        await count(session, await rows_within(session, Range(first, through), COLUMNS), sign=1)

    await session.fetch(_COUNT, (through,))
    if through < last_seq:
        return True
    session.note_counted(last_seq)
    return False


def has_uncounted(connection: sqlite3.Connection) -> bool:
    """Return True if the rollups of a store lack rows."""
    return counter(connection, "counted_through") < counter(connection, "last_seq")
