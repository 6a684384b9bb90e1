"""Rows that go, with their tool calls and jobs, and their counts in everything that counts them.

Invariant: inside a transaction; after it all sums are those of the records that are left. The row
of the state was changed before, as a batch does that has to note something there; the rows
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
"""What is needed of a row that goes."""
HEADS_BLOCK: Final = len(COLUMNS)
BODIES_BLOCK: Final = HEADS_BLOCK + 3
CONVERSATION: Final = COLUMNS.index("conversation")
STARTED: Final = COLUMNS.index("started_at_us")
_DIMENSION_PLACES: Final = tuple(COLUMNS.index(name) for name in DIMENSIONS)
_USAGE_PLACES: Final = tuple(COLUMNS.index(name) for name in USAGE_DIMENSIONS)
_ERROR_TYPE: Final = COLUMNS.index("error_type")
_ID: Final = COLUMNS.index("id")
_INSTANCE: Final = COLUMNS.index("instance")


async def uncount(session: Upkeep, rows: Rows) -> list[Record]:
    """Take the counts of rows off the rollups, within the limits those were counted by; returns the
    rows.
    """
    records = await session.records([row[: len(COLUMNS)] for row in rows])
    counts = Rollups()
    # Usage is kept by instance, which a batch has one of.
    used: dict[int, UsageSums] = {}

    for record, row in zip(records, rows, strict=True):
        ids = [row[place] for place in _DIMENSION_PLACES]
        counts.add(record, dimensions_of(ids, record.method), row[_ERROR_TYPE] or 0)
        if is_call(record):
            sums = used.setdefault(row[_INSTANCE], UsageSums())
            sums.add(record, [row[place] or 0 for place in _USAGE_PLACES])

    # In the order of a batch, so that the two cannot wait for each other in a circle.
    await session.rollups.merge(session, counts, session.limits, sign=-1)
    for instance, sums in sorted(used.items()):
        await session.rollups.merge_usage(session, sums, session.usage_limits, instance, sign=-1)
    return records


async def delete_rows(session: Upkeep, rows: Rows) -> None:
    """Delete rows, of `REMOVED`, with their tool calls and jobs."""
    dialect = session.dialect
    key = COLUMNS.index(dialect.row_key)
    keys = [row[key] for row in rows]
    await erase_jobs(session, [row[_ID] for row in rows])
    await erase_calls(session, keys)
    condition = dialect.of_keys.format(dialect.placeholder(1))
    await session.fetch(
        f"DELETE FROM {dialect.schema}records WHERE {condition}", (dialect.number_list(keys),)
    )
