"""The journal (WAL) of the file, and how it stays short beside readers.

Strategy: what is written while a transaction reads stays in the journal until that has ended
(SQLite, "Write-Ahead Logging", 6), and where reads overlap there is always one. The commit that
finds the journal grown long writes it back as far as readers let it, on the write connection's
thread: some 25 ms. Slices of deletion leave it alone, and after a few of them, or where a batch
would, a connection for upkeep writes it back on its own thread, which keeps neither a batch nor a
slice from committing.

Where all that did not help the journal is *due*: the next read waits until those that run have
ended, has the journal written back and cut, and those behind it go on
(`storage/sqlite/readers.py`). If it cannot be cut although none of ours reads, another program
does. That may go on for hours: from the limit on the journal may not grow, and batches are refused.
They never are for reads of our own, which have a budget of time.
"""

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from storage.errors import StorageUnavailable
from storage.sqlite.connection import Connection
from storage.sqlite.schema import PAGE_BYTES, checkpoint_pages

log = logging.getLogger(__name__)

LEAST_JOURNAL_BYTES: Final = 4 << 20
MOST_JOURNAL_BYTES: Final = 1 << 30
"""Bounds of `journal_limit`."""
_MOST_DUE_BYTES: Final = 32 << 20
"""From so many on it is due: twice what a commit lets it grow to."""
_ASKED_EVERY_S: Final = 1.0
"""How often a batch looks whether the other program that kept the journal has ended."""


def journal_limit(max_bytes: int) -> int:
    """Decide how long the journal may get that another program keeps: a 16th of a cap on size."""
    if max_bytes:
        return max(LEAST_JOURNAL_BYTES, max_bytes // 16)
    return MOST_JOURNAL_BYTES


@contextmanager
def journal_left_alone(connection: sqlite3.Connection) -> Iterator[None]:
    """Let commits only append to the journal, however long it is. Outside a transaction."""
    pages = connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0]
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")


class Journal:
    """The journal of one file, and what is known of who keeps it long."""

    def __init__(self, path: Path | None, max_bytes: int) -> None:
        """Watch the journal of the database at `path`, none of one in memory; with a cap on size, 0
        for none.
        """
        if path is None:
            self._path = None
        else:
            self._path = path.with_name(f"{path.name}-wal")
        self._long_bytes = checkpoint_pages(max_bytes) * PAGE_BYTES
        self._limit_bytes = journal_limit(max_bytes)
        self._step_bytes = min(_MOST_DUE_BYTES, self._limit_bytes // 2)
        self._due_bytes = self._step_bytes
        self._size_bytes = 0
        self._reading: set[sqlite3.Connection] = set()
        """Connections of ours that read at present."""
        self._in_upkeep: set[sqlite3.Connection] = set()
        """Those that write it back, or measure the file."""
        self._begun = 0
        """Rises with everything that any of them begins."""
        self._asked_s = 0.0
        self._is_held = False
        """Another program keeps it long, as far as is known."""
        self.warning = ""
        """Who keeps it long although batches, or reads of ours, have to wait for it; empty while it
        is short.
        """

    @property
    def size_bytes(self) -> int:
        """Measure it."""
        if self._path is not None and self._path.exists():
            return self._path.stat().st_size
        return 0

    @property
    def is_long(self) -> bool:
        """Whether a batch would write it back, as of the last commit."""
        return self._size_bytes > self._long_bytes

    @property
    def is_due(self) -> bool:
        """Whether reads have to make room for it to be cut, as of the last commit. Callable from
        any thread.
        """
        return self._size_bytes > self._due_bytes

    @property
    def is_full(self) -> bool:
        """Whether it is at its limit, as of the last commit. Callable from any thread."""
        return self._size_bytes > self._limit_bytes

    def look(self) -> None:
        """Note how long it is: after a commit, on any thread."""
        self._size_bytes = self.size_bytes

    def reading(self, connection: sqlite3.Connection) -> AbstractContextManager[None]:
        """Read in the body, on a thread of ours: what keeps the journal meanwhile may be this."""
        return self._noted(connection, self._reading)

    def upkeep(self, connection: sqlite3.Connection) -> AbstractContextManager[None]:
        """Write it back or measure the file in the body, which takes a moment."""
        return self._noted(connection, self._in_upkeep)

    async def cut(self, upkeep: Connection, writer: Connection) -> None:
        """Write it back and cut it, while no read of ours runs; most of it not on the writer's
        thread.
        """
        try:
            await upkeep.run(self.write_back)
            await writer.run(self._cut_rest)
        except StorageUnavailable:
            # Reads can go on; the next commit says what is wrong.
            self._due_bytes = self._size_bytes + self._step_bytes

    def write_back(self, connection: sqlite3.Connection) -> None:
        """Write it into the file, as far as readers let us, without waiting. The next commit begins
        it anew.
        """
        with self.upkeep(connection):
            connection.execute("PRAGMA wal_checkpoint(passive)").fetchall()

    def check(self, connection: sqlite3.Connection) -> None:
        """Refuse to make it any longer while another program keeps it at the limit. Outside a
        transaction.

        Nothing is refused for a read of ours that takes longer than its budget.

        Raises:
            StorageUnavailable: There is such a program.
        """
        self.look()
        may_have_ended = self._is_held and time.monotonic() > self._asked_s + _ASKED_EVERY_S
        if not (self.is_full or may_have_ended):
            return

        self._asked_s = time.monotonic()
        self._try_to_cut(connection)
        if not self.is_full:
            return
        if self._is_held:
            raise StorageUnavailable(self.warning)

        if self._reading and not self.warning:
            self.warning = (
                f"sqlite: reads of sidelog itself keep the journal {self._path} at "
                f"{self._size_bytes} bytes"
            )
            log.warning(
                "%s, beyond its limit of %d, until they end", self.warning, self._limit_bytes
            )

    @contextmanager
    def _noted(
        self, connection: sqlite3.Connection, where: set[sqlite3.Connection]
    ) -> Iterator[None]:
        self._begun += 1
        where.add(connection)
        try:
            yield
        finally:
            where.discard(connection)

    @property
    def _is_ours(self) -> bool:
        """Whether a connection of ours may keep it."""
        return bool(self._reading or self._in_upkeep)

    def _cut_rest(self, connection: sqlite3.Connection) -> None:
        was_held = self._is_held
        self._try_to_cut(connection)
        if not self._is_held:
            return

        # Reads need not make room again before it has grown by as much: they were not the cause.
        self._due_bytes = self._size_bytes + self._step_bytes
        if not was_held:
            log.warning("%s; from %d bytes on batches are refused", self.warning, self._limit_bytes)

    def _try_to_cut(self, connection: sqlite3.Connection) -> None:
        """Cut it, or find out that another program keeps it, where nothing of ours began or ran
        meanwhile.
        """
        begun = self._begun
        was_ours = self._is_ours
        truncate(connection)
        self.look()
        may_be_ours = was_ours or self._is_ours or self._begun != begun

        if self._size_bytes <= self._step_bytes:
            self._due_bytes = self._step_bytes
            self._is_held = False
            self.warning = ""
        elif self._is_held or not may_be_ours:
            self._is_held = True
            self.warning = (
                "sqlite: another program that has read for long, as a backup or a shell with an "
                "open transaction, "
                f"keeps the journal {self._path} at {self._size_bytes} bytes: end it"
            )


def truncate(connection: sqlite3.Connection) -> None:
    """Write it back and cut it, if no transaction reads, without waiting."""
    busy_ms = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        connection.execute("PRAGMA wal_checkpoint(truncate)").fetchall()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {busy_ms}")
