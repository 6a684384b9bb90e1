"""SQLite connections on threads of their own, with SQLite's errors translated to storage errors.

Strategy: a whole transaction, or a whole read, is one synchronous function that runs in the
connection's thread. That costs one hand-over instead of one per statement (24 µs each, measured). A
cancelled caller cannot leave a transaction half done, since the function always runs to its end.
"""

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Self, TypeVar, cast

import aiosqlite
import msgspec

from storage.errors import StorageDamaged, StorageRejected, StorageUnavailable
from storage.relational.session import ReadBudget

T = TypeVar("T")

_VALUE_CODES: Final = (
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_RANGE,
)
_DAMAGE_CODES: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)
_PROGRESS_STEPS: Final = 2000
"""Virtual machine steps between two checks of the clock, about 50 µs."""
AMONG: Final = "{} IN (SELECT value FROM json_each({}))"
"""Condition that a column, the first `{}`, is in a `number_list`, the placeholder at the second.

A placeholder for each number would make a different statement for each length, and statements are
kept prepared: 256 statements that purge a few hundred rows each took 10 MB.
"""
ID_AMONG: Final = AMONG.format("id", "?")
SEQ_AMONG: Final = AMONG.format("seq", "?")


class Connection(aiosqlite.Connection):
    """An aiosqlite connection that runs functions in the order of submission."""

    path: Path | None = None
    """The file, for messages."""

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Call `work` with the connection, in its thread. It continues if the caller is cancelled.

        Raises:
            StorageUnavailable: The store cannot be used at present, or is closed.
            StorageRejected: A value was refused.
        """
        if not self._running:
            raise StorageUnavailable("the store is closed")
        with translated(self.path):
            execute: Any = self._execute
            return cast(T, await execute(work, self._conn))

    @property
    def is_wanted(self) -> bool:
        """True if a function waits for the running one to end. Callable from any thread."""
        return not self._tx.empty()

    async def finish(self) -> None:
        """Run the submitted functions, close the connection, and end the thread. Idempotent."""
        await self.close()
        # The thread has answered already and only has to return, in microseconds.
        self._thread.join()


async def connect(
    path: Path | None,
    *,
    busy_timeout_s: float,
    is_read_only: bool = False,
    max_statements: int = 256,
) -> Connection:
    """Open a connection in autocommit mode; the caller closes it. Creates the file, readable by its
    owner only.

    With `is_read_only` the file must exist and is not changed. Without a path the database is in
    memory. Up to `max_statements` are kept prepared, the most recently used ones.
    """

    connected = partial(
        sqlite3.connect,
        timeout=busy_timeout_s,
        isolation_level=None,
        cached_statements=max_statements,
    )

    def opened() -> sqlite3.Connection:
        if path is None:
            return connected(":memory:")
        if is_read_only:
            return connected(f"{path.absolute().as_uri()}?mode=ro", uri=True)

        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # SQLite gives its journal files the mode of the database. Only create a new file: closing
        # one that another of our connections has open would drop its locks, and the next process to
        # close the file would delete our journal.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        return connected(path)

    connection = Connection(opened, 64)
    connection.path = path
    with translated(path):
        try:
            return cast(Connection, await connection)
        except BaseException:
            # The thread still has to report that it stopped, and would fail if our loop had ended.
            # This takes microseconds after an error, and as long as a slow disk needs after a
            # cancellation.
            await asyncio.to_thread(connection._thread.join)
            raise


def number_list(numbers: Sequence[int]) -> str:
    return msgspec.json.encode(numbers).decode()


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the body in one transaction; roll back if the body fails."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def counter(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()[0])


@contextmanager
def translated(path: Path | None = None) -> Iterator[None]:
    """Translate exceptions of SQLite, and of encoding values, to storage errors that name the file."""
    try:
        yield
    except sqlite3.Error as error:
        if (
            isinstance(error, sqlite3.DataError)
            or _code(error) in _VALUE_CODES
            or _is_binding(error)
        ):
            raise StorageRejected(f"sqlite refused a value: {error}") from error

        kind = StorageDamaged if _code(error) in _DAMAGE_CODES else StorageUnavailable
        raise kind(f"sqlite: {error}" + (f": {path}" if path else "")) from error
    except OSError as error:
        raise StorageUnavailable(f"sqlite: {error}") from error
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise StorageRejected(f"a value cannot be stored: {error!r}") from error


def _code(error: sqlite3.Error) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _is_binding(error: sqlite3.Error) -> bool:
    return isinstance(
        error, sqlite3.InterfaceError | sqlite3.ProgrammingError
    ) and "binding parameter" in str(error)


def _is_function(error: sqlite3.OperationalError) -> bool:
    """True if a function called by SQL failed, as happens when a query of its own is interrupted."""
    return "user-defined function raised exception" in str(error)


class Budget(ReadBudget):
    """Time budget of a read in a thread of its own."""

    def __init__(self, seconds: float, cancelled: threading.Event | None = None) -> None:
        super().__init__(seconds)
        self._cancelled = cancelled or threading.Event()

    def another(self, seconds: float) -> Self:
        return type(self)(seconds, self._cancelled)

    def cancel(self) -> None:
        """End the read as soon as possible, as its caller has been cancelled. Callable from any
        thread.
        """
        self._cancelled.set()

    @property
    def is_spent(self) -> bool:
        return self._cancelled.is_set() or super().is_spent

    def execute(
        self,
        connection: sqlite3.Connection,
        sql: str,
        parameters: tuple[Any, ...],
        *,
        is_part: bool = False,
    ) -> list[tuple[Any, ...]] | None:
        """Run a query and fetch all rows; None if the budget ended it."""
        if not self.begin_query(is_part=is_part):
            if self.is_spent:
                return None
            connection.set_progress_handler(lambda: self.is_spent, _PROGRESS_STEPS)

        try:
            return connection.execute(sql, parameters).fetchall()
        except sqlite3.OperationalError as error:
            if _code(error) == sqlite3.SQLITE_INTERRUPT or (self.is_spent and _is_function(error)):
                return None
            raise
        finally:
            connection.set_progress_handler(None, 0)
