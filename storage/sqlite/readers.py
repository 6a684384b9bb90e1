"""The read connections of a store, lent to reads.

Strategy: a read takes an idle connection, or waits for one. When the journal is due to be cut, the
next read waits until running reads have ended, has the journal cut, and continues; all others queue
behind it. Reads have a time budget, so this wait is about as long as one read. If the journal has
reached its limit meanwhile, the next batch does the same.

Invariant: while the journal is cut, none of our reads runs, not even a cancelled one that still
occupies its thread, unless the cutting task is cancelled itself.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from storage.sqlite.connection import Budget, Connection
from storage.sqlite.journal import Journal

T = TypeVar("T")


class Readers:
    """Lends connections to reads, on one event loop."""

    def __init__(
        self,
        connections: Sequence[Connection],
        upkeep: Connection,
        writer: Connection,
        journal: Journal,
        budget_s: float,
    ) -> None:
        """Lend `connections` for up to `budget_s`.

        `journal` is that of their file. `upkeep` is another connection and never lent; `writer`
        cuts the journal.
        """
        self._connections = connections
        self._upkeep = upkeep
        self._writer = writer
        self._journal = journal
        self._budget_s = budget_s
        self._idle: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for connection in connections:
            self._idle.put_nowait(connection)
        self._entrance = asyncio.Lock()

    async def run(self, work: Callable[[sqlite3.Connection, Budget], T]) -> T:
        """Run `work` in the thread of a connection, once one is idle, with a budget that starts
        then.
        """
        reader = await self._idle.get()
        try:
            async with self._entrance:
                if self._journal.is_due:
                    await self._wait_for_reads()
                    await self._journal.cut(self._upkeep, self._writer)

            # No other task may run before the work is handed to the thread, since the task that
            # cuts the journal waits for the thread.
            budget = Budget(self._budget_s)

            def read(connection: sqlite3.Connection) -> T:
                with self._journal.reading(connection):
                    return work(connection, budget)

            try:
                return await reader.run(read)
            finally:
                # After a cancellation the thread may still be busy: ask it to stop, and let the
                # next read queue behind it.
                budget.cancel()
        finally:
            self._idle.put_nowait(reader)

    async def make_room(self) -> None:
        """Cut the journal before more is written, if it has reached its limit.

        It waits for running reads, but not for any that exceed their budget.
        """
        if not self._journal.is_full:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._budget_s) as waiting, self._entrance:
                await self._wait_for_reads()
                waiting.reschedule(None)
                await self._journal.cut(self._upkeep, self._writer)

    async def _wait_for_reads(self) -> None:
        """Wait until the reads that run have ended."""
        for connection in self._connections:
            await connection.run(lambda _: None)
