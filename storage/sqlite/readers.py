"""The read connections of a store, and when each of them may read.

Strategy: a read takes a connection that is idle, or waits for one. When the journal is due the next
read to begin waits until those that run have ended, has the journal cut, and goes on; all others
wait behind it. Reads have a budget of time, so that the wait is about as long as one of them. Where
the journal has grown to its limit meanwhile, the next batch does the same.

Invariant: while the journal is cut no read of ours runs, those that were cancelled and still occupy
their thread included, unless who cuts it is cancelled itself.
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
    """Lends connections to reads. On one event loop."""

    def __init__(
        self,
        connections: Sequence[Connection],
        upkeep: Connection,
        writer: Connection,
        journal: Journal,
        budget_s: float,
    ) -> None:
        """Lend `connections` for as long as a budget lasts.

        The journal is that of their file; `upkeep` is another connection, that is not lent, and
        `writer` cuts it.
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
        """Do work on the thread of a connection, once there is one, within a budget that begins
        then.
        """
        reader = await self._idle.get()
        try:
            async with self._entrance:
                if self._journal.is_due:
                    await self._wait_for_reads()
                    await self._journal.cut(self._upkeep, self._writer)

            # Handed to the thread before anything else happens on this loop: who cuts the journal
            # waits for the thread.
            budget = Budget(self._budget_s)

            def read(connection: sqlite3.Connection) -> T:
                with self._journal.reading(connection):
                    return work(connection, budget)

            try:
                return await reader.run(read)
            finally:
                # After a cancellation the thread may still be busy: it is asked to stop, and the
                # next waits behind it.
                budget.cancel()
        finally:
            self._idle.put_nowait(reader)

    async def make_room(self) -> None:
        """Have the journal cut before more is written, where it is at its limit.

        It waits for the reads that run, though not for those that take longer than their budget.
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
