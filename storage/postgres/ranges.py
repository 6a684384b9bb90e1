"""From a filter's bounds to a range of `seq`, and from a range of `seq` to the partitions that can have it."""

from typing import Final
from uuid import UUID

from storage.postgres.connection import Connection
from storage.postgres.partitions import EVERY_ID, id_bounds
from storage.postgres.state import State
from storage.query import Filter
from storage.relational.slices import Range
from storage.relational.sql import MAX_INT

_TIME: Final = (
    "SELECT min(first_seq), max(last_seq) FROM sidelog.spans WHERE max_started_at_us >= $1 AND min_started_at_us < $2"
)
_IDS: Final = (
    "SELECT min(min_id_ms), max(max_id_ms) FROM sidelog.spans WHERE first_seq <= $2 AND first_seq >= "
    "coalesce((SELECT max(first_seq) FROM sidelog.spans WHERE first_seq <= $1), $1)"
)


async def seq_range(connection: Connection, filter: Filter, state: State) -> Range:
    """Find the rows that a filter's bounds on time and `seq` leave to be searched."""
    since = -MAX_INT if filter.since_us is None else max(min(filter.since_us, MAX_INT), -MAX_INT)
    until = MAX_INT if filter.until_us is None else max(min(filter.until_us, MAX_INT), -MAX_INT)
    if filter.since_us is None and filter.until_us is None:
        least, most = await _whole(connection), state.last_seq
    else:
        row = await connection.fetchrow(_TIME, since, until)
        least, most = row if row is not None else (None, 0)
    if least is None:
        return Range(1, 0)
    if filter.seq_after is not None:
        least = max(least, filter.seq_after + 1)
    if filter.seq_until is not None:
        most = min(most, filter.seq_until)
    return Range(least, most)


async def id_range(connection: Connection, part: Range) -> tuple[UUID, UUID]:
    """Find ids, both inclusive, between which all rows of a range are: other partitions need not be looked at."""
    row = await connection.fetchrow(_IDS, part.first, part.last)
    return EVERY_ID if row is None or row[0] is None else id_bounds(*row)


async def _whole(connection: Connection) -> int | None:
    found: int | None = await connection.fetchval("SELECT min(first_seq) FROM sidelog.spans")
    return found
