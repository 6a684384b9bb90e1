"""Keep the journal (WAL) of the file short while readers are active.

Strategy: pages written while a transaction reads stay in the journal until it has ended (SQLite,
"Write-Ahead Logging", 6), and overlapping reads leave no gap. A commit that finds the journal long
writes it back as far as readers allow, on the write connection's thread, in about 25 ms. Slices of
deletion do not. After a few of them, or when a batch would do so, an upkeep connection writes the
journal back on its own thread, without delaying batches or slices.

If that is not enough, the journal is *due*: the next read waits until running reads have ended, has
the journal written back and cut, and then it and those behind it continue
(`storage/sqlite/readers.py`). If the journal cannot be cut although none of our reads runs, another
program is reading. That may last for hours, so from its limit on the journal must not grow and
batches are refused. Our own reads have a time budget, so batches are never refused because of them.
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
"""Upper bound of the size at which the journal is due: twice the length to which a commit lets it
grow.
"""
_ASKED_EVERY_S: Final = 1.0
"""Time between two checks whether the other program has stopped reading."""


def journal_limit(max_bytes: int) -> int:
    """Return the size at which batches are refused while another program holds the journal: a 16th
    of the size cap.
    """
    if max_bytes:
        return max(LEAST_JOURNAL_BYTES, max_bytes // 16)
    return MOST_JOURNAL_BYTES


@contextmanager
def journal_left_alone(connection: sqlite3.Connection) -> Iterator[None]:
    """Let commits in the body only append to the journal, however long it is. Outside a
    transaction.
    """
    pages = connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0]
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")


class Journal:
    """The journal of one file, and what keeps it long."""

    def __init__(self, path: Path | None, max_bytes: int) -> None:
        """Watch the journal of the database at `path`, or nothing for a database in memory.
        `max_bytes` is the size cap, 0 for none.
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
        """Our connections that are reading."""
        self._in_upkeep: set[sqlite3.Connection] = set()
        """Our connections that write the journal back, or measure the file."""
        self._begun = 0
        """Number of reads and upkeep tasks begun."""
        self._asked_s = 0.0
        self._is_held = False
        """True if another program keeps the journal long, as far as is known."""
        self.warning = ""
        """Message about the reader that keeps the journal long and makes batches, or our reads,
        wait; empty while it is short.
        """

    @property
    def size_bytes(self) -> int:
        """Present size of the journal."""
        if self._path is not None and self._path.exists():
            return self._path.stat().st_size
        return 0

    @property
    def is_long(self) -> bool:
        """True if a batch would write the journal back, as of the last commit."""
        return self._size_bytes > self._long_bytes

    @property
    def is_due(self) -> bool:
        """True if reads must pause so that the journal can be cut, as of the last commit. Callable
        from any thread.
        """
        return self._size_bytes > self._due_bytes

    @property
    def is_full(self) -> bool:
        """True if the journal has reached its limit, as of the last commit. Callable from any
        thread.
        """
        return self._size_bytes > self._limit_bytes

    def look(self) -> None:
        """Measure the journal after a commit, on any thread."""
        self._size_bytes = self.size_bytes

    def reading(self, connection: sqlite3.Connection) -> AbstractContextManager[None]:
        """Mark the body as a read of ours. While one runs, a long journal is not blamed on another
        program.
        """
        return self._noted(connection, self._reading)

    def upkeep(self, connection: sqlite3.Connection) -> AbstractContextManager[None]:
        """Mark the body as upkeep: writing the journal back, or measuring the file, in a moment."""
        return self._noted(connection, self._in_upkeep)

    async def cut(self, upkeep: Connection, writer: Connection) -> None:
        """Write the journal back and cut it, while none of our reads runs; most of the work is not
        on the writer's thread.
        """
        try:
            await upkeep.run(self.write_back)
            await writer.run(self._cut_rest)
        except StorageUnavailable:
            # Reads can continue; the next commit reports the error.
            self._due_bytes = self._size_bytes + self._step_bytes

    def write_back(self, connection: sqlite3.Connection) -> None:
        """Write the journal into the file, as far as readers allow, without waiting. The next
        commit then starts it from the beginning.
        """
        with self.upkeep(connection):
            connection.execute("PRAGMA wal_checkpoint(passive)").fetchall()

    def check(self, connection: sqlite3.Connection) -> None:
        """Refuse to write while another program keeps the journal at its limit. Outside a
        transaction.

        Nothing is refused because of our own reads, even if one exceeds its budget.

        Raises:
            StorageUnavailable: Another program keeps it at its limit.
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
        """True if one of our connections may keep the journal long."""
        return bool(self._reading or self._in_upkeep)

    def _cut_rest(self, connection: sqlite3.Connection) -> None:
        was_held = self._is_held
        self._try_to_cut(connection)
        if not self._is_held:
            return

        # Reads were not the cause, so they need not pause again before the journal has grown by
        # another step.
        self._due_bytes = self._size_bytes + self._step_bytes
        if not was_held:
            log.warning("%s; from %d bytes on batches are refused", self.warning, self._limit_bytes)

    def _try_to_cut(self, connection: sqlite3.Connection) -> None:
        """Cut the journal; if it stays long although no read of ours began or ran meanwhile,
        another program keeps it.
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
    """Write the journal back and cut it, if no transaction reads, without waiting."""
    busy_ms = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        connection.execute("PRAGMA wal_checkpoint(truncate)").fetchall()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {busy_ms}")
