"""Counting stored rows in the rollups, and removing rows with their tool calls, their jobs, and
their share of all counts.

Invariant: it runs inside a transaction, and afterwards all sums are those of the remaining records.
A caller that has to change the row of the state does so before, as a batch does. The rows
themselves and their blocks are the caller's business.
"""

from typing import Final

from storage.record import Record
from storage.relational.rollups import DIMENSIONS, Rollups, dimensions_of
from storage.relational.sql import Rows
from storage.relational.tools.writes import erase_calls
from storage.relational.upkeep.session import Upkeep
from storage.relational.usage import DIMENSIONS as USAGE_DIMENSIONS
from storage.relational.usage import UsageSums, is_call
from storage.relational.writes.jobs import erase_jobs
from storage.relational.writes.packing import COLUMNS, PLACES

REMOVED: Final = (*COLUMNS, *PLACES)
"""The columns needed of a removed row."""
HEADS_BLOCK: Final = len(COLUMNS)
BODIES_BLOCK: Final = HEADS_BLOCK + 3
CONVERSATION: Final = COLUMNS.index("conversation")
STARTED: Final = COLUMNS.index("started_at_us")
_DIMENSION_PLACES: Final = tuple(COLUMNS.index(name) for name in DIMENSIONS)
_USAGE_PLACES: Final = tuple(COLUMNS.index(name) for name in USAGE_DIMENSIONS)
_ERROR_TYPE: Final = COLUMNS.index("error_type")
_ID: Final = COLUMNS.index("id")
_INSTANCE: Final = COLUMNS.index("instance")


async def count(session: Upkeep, rows: Rows, *, sign: int) -> list[Record]:
    """Add the counts of rows, given by their columns `REMOVED` or the first of these, to the
    rollups, or with a sign of -1 subtract them within the limits by which they were counted.

    Returns the rows as records.
    """
    records = await session.records([row[: len(COLUMNS)] for row in rows])
    counts = Rollups()
    # Usage is kept by instance. A batch has one, these rows may have several.
    used: dict[int, UsageSums] = {}

    for record, row in zip(records, rows, strict=True):
        ids = [row[place] for place in _DIMENSION_PLACES]
        counts.add(record, dimensions_of(ids, record.method), row[_ERROR_TYPE] or 0)
        if is_call(record):
            sums = used.setdefault(row[_INSTANCE], UsageSums())
            sums.add(record, [row[place] or 0 for place in _USAGE_PLACES])

    # In the order of a batch, so that the two cannot wait for each other in a circle.
    await session.rollups.merge(session, counts, session.limits, sign=sign)
    for instance, sums in sorted(used.items()):
        await session.rollups.merge_usage(session, sums, session.usage_limits, instance, sign=sign)
    return records


async def delete_rows(session: Upkeep, rows: Rows) -> None:
    """Delete rows, given by their columns `REMOVED`, with their tool calls and jobs."""
    dialect = session.dialect
    key = COLUMNS.index(dialect.row_key)
    keys = [row[key] for row in rows]
    await erase_jobs(session, [row[_ID] for row in rows])
    await erase_calls(session, keys)
    condition = dialect.of_keys.format(dialect.placeholder(1))
    await session.fetch(
        f"DELETE FROM {dialect.schema}records WHERE {condition}", (dialect.number_list(keys),)
    )
