"""Taking rows out with everything that counts them: erasure and the cap on size do it in slices.

Invariant: inside a transaction; after it all sums are those of the records that are left. The row
of `state` was changed before, as a batch does that has to note something there; blocks are the
caller's business.
"""

from collections.abc import Sequence
from typing import Any, Final

from storage.postgres import rollups
from storage.postgres.index_keys import SEQ_AMONG
from storage.postgres.jobs import erase_jobs
from storage.postgres.session import PostgresSession
from storage.postgres.tools import erase_calls
from storage.relational.rollups import DIMENSIONS, Limits, Rollups, dimensions_of
from storage.relational.usage import DIMENSIONS as USAGE_DIMENSIONS
from storage.relational.usage import UsageSums, is_call, limits
from storage.relational.writes.packing import COLUMNS, PLACES

SELECT: Final = f"SELECT {', '.join((*COLUMNS, *PLACES))} FROM sidelog.records"
"""What is needed of a row that goes."""
HEADS_BLOCK: Final = len(COLUMNS)
BODIES_BLOCK: Final = HEADS_BLOCK + 3
CONVERSATION: Final = COLUMNS.index("conversation")
STARTED: Final = COLUMNS.index("started_at_us")
_DIMENSION_PLACES: Final = tuple(COLUMNS.index(name) for name in DIMENSIONS)
_USAGE_PLACES: Final = tuple(COLUMNS.index(name) for name in USAGE_DIMENSIONS)
_ERROR_TYPE: Final = COLUMNS.index("error_type")
_INSTANCE: Final = COLUMNS.index("instance")


async def uncount(session: PostgresSession, rows: Sequence[Any]) -> None:
    """Take the counts of rows off the rollups."""
    connection = session.connection
    records = await session.records([row[: len(COLUMNS)] for row in rows])
    # Usage is kept by instance, which a batch has one of.
    counts: dict[int, Rollups] = {}
    used: dict[int, UsageSums] = {}

    for record, row in zip(records, rows, strict=True):
        ids = [row[place] for place in _DIMENSION_PLACES]
        of_instance = counts.setdefault(row[_INSTANCE], Rollups())
        of_instance.add(record, dimensions_of(ids, record.method), row[_ERROR_TYPE] or 0)

        if is_call(record):
            used.setdefault(row[_INSTANCE], UsageSums()).add(
                record, [row[place] or 0 for place in _USAGE_PLACES]
            )

    # In the order of a batch, so that the two cannot wait for each other in a circle.
    for _, of_instance in sorted(counts.items()):
        await rollups.merge(connection, of_instance, Limits(), sign=-1)
    for instance, sums in sorted(used.items()):
        await rollups.merge_usage(connection, sums, limits(), instance, sign=-1)


async def delete_rows(session: PostgresSession, seqs: list[int]) -> None:
    """Delete rows with their tool calls and jobs."""
    await erase_jobs(session.connection, seqs)
    await erase_calls(session.connection, seqs)
    await session.connection.execute(f"DELETE FROM sidelog.records WHERE {SEQ_AMONG}", seqs)
