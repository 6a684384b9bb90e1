"""Taking rows out with everything that counts them: erasure and the cap on size do it in slices.

Invariant: inside a transaction; after it all sums are those of the records that are left. Tool
calls go with the record they are stored with by triggers, and with the one that asked; blocks are
the caller's business.
"""

from typing import Final

from storage.record import Record
from storage.relational.rollups import DIMENSIONS, Limits, Rollups, dimensions_of
from storage.relational.session import run_sync
from storage.relational.usage import DIMENSIONS as USAGE_DIMENSIONS
from storage.relational.usage import UsageSums, is_call
from storage.relational.writes.packing import COLUMNS, PLACES
from storage.sqlite import rollups
from storage.sqlite.codec import Row
from storage.sqlite.connection import SEQ_AMONG, number_list
from storage.sqlite.session import SqliteSession

SELECT: Final = f"SELECT {', '.join((*COLUMNS, *PLACES))} FROM records"
"""What `remove_rows` needs of a row."""
_DELETE: Final = f"DELETE FROM records WHERE {SEQ_AMONG}"
HEADS_BLOCK: Final = len(COLUMNS)
BODIES_BLOCK: Final = HEADS_BLOCK + 3
STARTED: Final = COLUMNS.index("started_at_us")
_DIMENSION_PLACES: Final = tuple(COLUMNS.index(name) for name in DIMENSIONS)
_USAGE_PLACES: Final = tuple(COLUMNS.index(name) for name in USAGE_DIMENSIONS)
_ERROR_TYPE: Final = COLUMNS.index("error_type")
_ID: Final = COLUMNS.index("id")


def remove_rows(
    session: SqliteSession, rows: list[Row], limits: Limits, usage_limits: Limits
) -> list[Record]:
    """Delete rows and take their counts off the rollups, within the limits those were counted by;
    returns the rows.
    """
    connection = session.connection
    records = run_sync(session.records([row[: len(COLUMNS)] for row in rows]))
    counts = Rollups()
    used = UsageSums()

    for record, row in zip(records, rows, strict=True):
        if is_call(record):
            used.add(record, [row[place] for place in _USAGE_PLACES])
        counts.add(
            record,
            dimensions_of([row[place] for place in _DIMENSION_PLACES], record.method),
            row[_ERROR_TYPE],
        )

    rollups.merge(connection, counts, limits, sign=-1)
    rollups.merge_usage(connection, used, usage_limits, sign=-1)
    connection.execute(_DELETE, (number_list([row[0] for row in rows]),))
    connection.executemany(
        "DELETE FROM tool_calls WHERE record_id = ?", [(row[_ID],) for row in rows]
    )
    return records
