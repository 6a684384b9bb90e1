"""A reserve of disk space, so that records can be deleted on a full disk: a file next to the store.

Strategy: to delete rows, SQLite first writes pages to its journal, and to open a file, it creates
the journal. On a full disk neither is possible, so no size cap and no erasure could ever make room
again. So a few MiB are allocated while there is room. A deletion that fails for lack of space gives
them up, returns free pages of the file to the disk, and allocates the reserve again.

Invariant: no batch is stored while the reserve is given up, since it would use the space that the
next deletion needs.
"""

import errno
import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from storage.errors import StorageUnavailable
from storage.sqlite.connection import transaction
from storage.sqlite.journal import truncate

T = TypeVar("T")

SUFFIX: Final = ".reserve"
LEAST_BYTES: Final = 4 << 20
MOST_BYTES: Final = 12 << 20
"""Bounds of the size of a reserve. A slice of deletion writes about 8 MiB. A segment of the spool
has 16 MiB, so the spool cannot use a reserve that was given up.
"""
_GIVEN_BACK_PAGES: Final = 256
"""Free pages that are returned to a full disk at a time, 2 MiB."""
_NO_ROOM: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
"""Result codes of SQLite on a full disk. It reports an I/O error if the journal's shared memory has
no space.
"""


def is_without_room(error: BaseException | None) -> bool:
    """True if an error of SQLite or of the system may be due to a full disk."""
    if isinstance(error, StorageUnavailable):
        error = error.__cause__
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _NO_ROOM


class Reserve:
    """The reserve of one store."""

    def __init__(self, path: Path | None, max_bytes: int) -> None:
        """Allocate nothing yet. Without a path there is no reserve; `max_bytes` is the store's size
        cap, 0 for none.
        """
        if path is None:
            self._path = None
        else:
            self._path = path.with_suffix(SUFFIX)
        self._size_bytes = min(MOST_BYTES, max(LEAST_BYTES, (max_bytes or MOST_BYTES << 4) // 16))
        self.is_given_up = False
        """True if the reserve is missing because the disk is full."""

    def take(self) -> None:
        """Allocate the reserve, if there is room. If the disk refuses for another reason, the store
        has no reserve.
        """
        if self._path is None:
            return
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, self._size_bytes)
            finally:
                os.close(fd)
        except OSError as error:
            self.give_up()
            self.is_given_up = is_without_room(error)
        else:
            self.is_given_up = False

    def give_up(self) -> bool:
        """Free the reserve; return whether it existed."""
        if self._path is None:
            return False
        try:
            self._path.unlink()
        except OSError:
            return False
        self.is_given_up = True
        return True

    async def spend(self, opening: Callable[[], Awaitable[T]]) -> T:
        """Open the store; on a full disk, give up the reserve and try again."""
        try:
            return await opening()
        except StorageUnavailable as error:
            if not (is_without_room(error) and self.give_up()):
                raise
        return await opening()

    def make_room(self, connection: sqlite3.Connection) -> None:
        """Return free pages of the file to the disk, and allocate the reserve again. Outside a
        transaction.
        """
        with suppress(sqlite3.OperationalError):  # the next attempt meets the same error
            free = connection.execute("PRAGMA freelist_count").fetchone()[0]
            if free:
                self.give_up()
                with transaction(connection):
                    for _ in range(min(free, _GIVEN_BACK_PAGES)):
                        # A single step of a statement without columns moves one page.
                        connection.execute("PRAGMA incremental_vacuum(1)")
            truncate(connection)
        self.take()

    def check(self, connection: sqlite3.Connection) -> None:
        """Refuse a batch while the reserve is given up.

        Raises:
            StorageUnavailable: There is no room to allocate it again.
        """
        if self.is_given_up:
            self.make_room(connection)
        if self.is_given_up:
            raise StorageUnavailable(
                f"sqlite: the disk is full, {self._size_bytes >> 20} MiB are needed to go on; "
                "records can be read and deleted"
            )
