"""A copy of the database as it is at one moment, made while others write.

Strategy: all pages in one step, under one read snapshot. In several steps SQLite would begin anew
after each commit of another process (SQLite, "Using the SQLite Online Backup API"), and a sidelog
commits five times a second. Writers go on; their journal grows until the copy is made.

Invariant: under its name the copy is whole and on disk, or not there.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from storage.sqlite.connection import translated

_PARTIAL: Final = ".partial"


def back_up(source: Path, target: Path) -> None:
    """Copy a database into a new file, readable by its owner only, that needs no journal.

    Raises:
        FileExistsError: There is a file of that name, or of that name with `.partial`, which another backup writes or
            an interrupted one has left.
        OSError: The file cannot be made.
        StorageUnavailable: The database cannot be read, or the copy not be written.
        StorageDamaged: The database is damaged.
    """
    if target.exists():
        raise FileExistsError(f"{target} is there already")
    partial = target.with_name(target.name + _PARTIAL)
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with translated():
            _copy(source, partial)
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
