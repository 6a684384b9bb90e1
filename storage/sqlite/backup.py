"""Back up the database as of one moment, while others write.

Strategy: all pages are copied in one step, under one read snapshot. With several steps SQLite would
start over after each commit of another process (SQLite, "Using the SQLite Online Backup API"), and
a sidelog commits five times a second. Writers continue; their journal grows until the copy is done.

Invariant: a copy under its final name is complete and on disk.
"""

import asyncio
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from storage.errors import SchemaTooOld
from storage.sqlite.connection import translated
from storage.sqlite.store import SqliteStorage

_PARTIAL: Final = ".partial"


def back_up(source: Path, target: Path) -> None:
    """Copy a database to a new file that only its owner can read. The copy needs no journal.

    Raises:
        FileExistsError: The file exists, or one with `.partial` added, from a running or interrupted backup.
        OSError: The file cannot be created.
        StorageUnavailable: The database cannot be read, or the copy cannot be written.
        StorageDamaged: The database is damaged.
    """
    if target.exists():
        raise FileExistsError(f"{target} is there already")
    partial = target.with_name(target.name + _PARTIAL)
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with translated():
            _copy(source, partial)
            asyncio.run(_count(partial))
            _close_journal(partial)
        _name(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _copy(source: Path, partial: Path) -> None:
    url = f"{source.absolute().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(url, uri=True)) as original,
        closing(sqlite3.connect(partial)) as copy,
    ):
        original.backup(copy)


async def _count(partial: Path) -> None:
    """Count the newest rows in the figures, so that a reader need not change the copy."""
    with suppress(SchemaTooOld):
        async with await SqliteStorage.open(partial, is_read_only=True):
            pass


def _close_journal(partial: Path) -> None:
    with closing(sqlite3.connect(partial)) as copy:
        copy.execute("PRAGMA journal_mode = delete")


def _name(partial: Path, target: Path) -> None:
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.rename(target)
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
