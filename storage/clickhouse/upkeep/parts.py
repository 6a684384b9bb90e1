"""What the tables of rows are made of on the server's disk, and how rows are taken out of it.

Strategy: a day that is not wanted any more is a partition that is dropped, at once. Single rows go by a mutation: the
server writes the parts that have some of them anew, in its own time, one part after the other.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a parameter

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from storage.clickhouse.link import LIMIT_S, Link
from storage.relational.sql import MAX_INT
from storage.relational.time_ranges import DAY_US

SEQ: Final = {
    "records": "seq", "heads": "seq", "bodies": "seq", "tool_calls": "record_seq", "waiting_calls": "seq",
    "jobs": "seq",
}  # fmt: skip
"""Table of rows of batches → its column with the `seq` of the record."""
_LISTED: Final = (
    "SELECT table, partition_id, toInt64(partition), sum(rows), sum(bytes_on_disk) FROM system.parts "
    f"WHERE database = currentDatabase() AND active AND table IN ({', '.join(repr(table) for table in SEQ)}) "
    "GROUP BY table, partition_id, partition ORDER BY toInt64(partition), table"
)
_RUNNING: Final = (
    "SELECT count() FROM system.mutations WHERE database = currentDatabase() AND is_done = 0 AND table <> 'commits'"
)
_LOOK_AGAIN_S: Final = 0.02


class Partition(NamedTuple):
    """The rows of one table that started on one day."""

    table: str
    id: str
    """Of the server."""
    day: int
    """Since the epoch."""
    rows: int
    """Those that are committed and those that are not."""
    size_bytes: int

    @property
    def bounds_us(self) -> tuple[int, int]:
        """Between which times, both inclusive, its rows started: division is towards zero."""
        least = self.day * DAY_US if self.day > 0 else (self.day - 1) * DAY_US + 1
        most = (self.day + 1) * DAY_US - 1 if self.day >= 0 else self.day * DAY_US
        return max(least, -MAX_INT - 1), min(most, MAX_INT)


async def listed(link: Link) -> list[Partition]:
    """List what there is, the oldest first."""
    return [Partition(*row) for row in await link.fetch(_LISTED, limit_s=LIMIT_S)]


async def drop(link: Link, partition: Partition) -> None:
    """Give back the space of a partition."""
    await link.execute(f"ALTER TABLE {partition.table} DROP PARTITION ID '{partition.id}'", limit_s=LIMIT_S)


async def delete(link: Link, table: str, condition: str, parameters: Sequence[Any] = ()) -> None:
    """Have the server take out rows that fulfil a condition; it begins at once and ends when it can."""
    await link.execute(f"ALTER TABLE {table} DELETE WHERE {condition}", parameters, limit_s=LIMIT_S)


async def is_busy(link: Link) -> bool:
    """Whether the server is still taking out rows."""
    return bool((await link.fetch(_RUNNING, limit_s=LIMIT_S))[0][0])


async def await_quiet(link: Link, limit_s: float) -> bool:
    """Wait until the server has taken out all rows; False when that takes longer than the limit."""
    ends_at = time.monotonic() + limit_s
    while await is_busy(link):
        if time.monotonic() > ends_at:
            return False
        await asyncio.sleep(_LOOK_AGAIN_S)
    return True
