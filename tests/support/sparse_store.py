"""A real SQLite store whose numbers are as a fleet's are: far apart, and in the stable prefix only
after a while.
"""

import asyncio
import sqlite3
import time
from collections import deque
from typing import Any, Final

from storage.purge import Erased
from storage.query import Filter
from storage.record import Batch
from storage.sqlite.store import SqliteStorage

GAP: Final = 4096
"""Numbers between two batches: as many as a fleet has in a millisecond."""
DELAY_S: Final = 0.05


class SparseStorage(SqliteStorage):
    """`last_seq` tells what was newest a moment ago; rows above it can be read."""

    has_late_prefix = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._seen: deque[tuple[float, int]] = deque([(time.monotonic() - DELAY_S, 0)])
        """When it was looked, and what was newest then."""

    async def commit(self, batch: Batch) -> int:
        """Leave some numbers out, and commit."""
        if batch.entries:
            await self._writer.run(_leave_out)
        return await super().commit(batch)

    async def erase(self, filter: Filter) -> Erased:
        """Erase when the stable prefix has all that was committed: it bounds what is looked at."""
        while await self.last_seq() < (await self.info()).last_seq:  # noqa: ASYNC110 -- time is what it waits for
            await asyncio.sleep(DELAY_S)
        return await super().erase(filter)

    async def last_seq(self) -> int:
        newest = await super().last_seq()
        now_s = time.monotonic()
        if newest > self._seen[-1][1]:
            self._seen.append((now_s, newest))
        while len(self._seen) > 1 and now_s - self._seen[1][0] >= DELAY_S:
            self._seen.popleft()
        return self._seen[0][1]


def _leave_out(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE meta SET value = value + ? WHERE name = 'last_seq'", (GAP,))
