"""The layout of the file: pragmas of a connection, and numbered migrations applied in order, each
in a transaction.

Invariant: `user_version` is the number of the newest migration applied. A file with a higher number
than this program knows is left untouched.
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from typing import Final

from storage.errors import SchemaTooNew, SchemaTooOld, StorageDamaged
from storage.query import Durability
from storage.relational.migrations import read_migrations
from storage.sqlite.connection import transaction
from storage.sqlite.histograms import add_histogram_functions
from storage.sqlite.search_functions import add_search_functions

PAGE_BYTES: Final = 8192
_WRITE_CACHE_KIB: Final = 8192
_READ_CACHE_KIB: Final = 2048
"""Cache of each reader; other pages are in the kernel's page cache, one copy away."""
_PROCESS_BYTES: Final = 12 * 1024 * 1024
"""Memory limit of all connections in daily use. Above it, a cache gives up one of its pages for
each new one. Prepared statements count first; they are bounded in number only. It fills within
minutes, where 16 MiB would take hours, and costs no more CPU at 450 exchanges/s (bench/soak.py).
"""
_CHECKPOINT_PAGES: Final = 2000
"""16 MiB: pages that many batches change are written to the file once (measured,
bench/micro/sqlite_write.py).
"""

_SCHEMA: Final = (
    "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
)
_COMMENT: Final = re.compile(r"[ \t]*--[^\n]*")
"""Comments are ignored, because SQLite keeps them with a statement: to reword one must not make a
file count as damaged.
"""
_MIN_CHECKPOINT_PAGES: Final = 16
"""Less than one batch changes, so that every commit writes the journal back."""


def migrations() -> list[str]:
    """Return the migrations in order; the first makes version 1."""
    return read_migrations("storage.sqlite.migrations")


def checkpoint_pages(max_bytes: int) -> int:
    """Return the length of the journal at which it is written back: a 128th of the size cap, if
    that is less than usual.
    """
    if not max_bytes:
        return _CHECKPOINT_PAGES
    return max(_MIN_CHECKPOINT_PAGES, min(_CHECKPOINT_PAGES, max_bytes // 128 // PAGE_BYTES))


def prepare_writer(
    connection: sqlite3.Connection, durability: Durability, max_bytes: int = 0
) -> int:
    """Set up the write connection and migrate the file to the newest layout; return its version.

    `max_bytes` is the size cap for the file with its journal; 0 for none.

    Raises:
        SchemaTooNew: A newer program wrote the file.
        StorageDamaged: Its schema is incomplete.
    """
    add_search_functions(connection)
    add_histogram_functions(connection)
    scripts = migrations()
    _refuse_newer(_version(connection), scripts)
    # Even in fast mode "normal" instead of "off": a power cut may cost the newest commits, but
    # never damages the file.
    if durability == "safe":
        synchronous = "full"
    else:
        synchronous = "normal"

    pages = checkpoint_pages(max_bytes)
    for pragma in (
        f"page_size = {PAGE_BYTES}",
        "auto_vacuum = incremental",
        "journal_mode = wal",
        f"synchronous = {synchronous}",
        f"cache_size = -{_WRITE_CACHE_KIB}",
        f"wal_autocheckpoint = {pages}",
        f"journal_size_limit = {(1 if max_bytes else 8) * PAGE_BYTES * pages}",
        "temp_store = memory",
        f"soft_heap_limit = {_PROCESS_BYTES}",
        # Always on: growing blocks and retention free pages with bodies of records that may be
        # erased later.
        "secure_delete = on",
    ):
        connection.execute(f"PRAGMA {pragma}")

    version = _migrate(connection, scripts)
    _check_schema(connection)
    return version


def prepare_reader(connection: sqlite3.Connection) -> None:
    add_search_functions(connection)
    add_histogram_functions(connection)
    for pragma in ("query_only = on", f"cache_size = -{_READ_CACHE_KIB}", "temp_store = memory"):
        connection.execute(f"PRAGMA {pragma}")


def prepare_sole_reader(connection: sqlite3.Connection) -> int:
    """Set up a connection to a file that must not be changed; return its layout.

    Raises:
        SchemaTooNew: A newer program wrote the file.
        SchemaTooOld: An older one did.
    """
    prepare_reader(connection)
    version = _version(connection)
    newest = len(migrations())
    _refuse_newer(version, migrations())
    if version < newest:
        raise SchemaTooOld(version, newest)

    return version


def _migrate(connection: sqlite3.Connection, scripts: list[str]) -> int:
    with transaction(connection):
        version = _version(connection)
        _refuse_newer(version, scripts)
        for script in scripts[version:]:
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(scripts)}")

    return len(scripts)


def _check_schema(connection: sqlite3.Connection) -> None:
    """Compare the schema with that of a new file; differences are damage.

    Raises:
        StorageDamaged: The schemas differ.
    """
    missing = sorted(name for _, name, _ in _schema_of(tuple(migrations())) - _schema(connection))
    if missing:
        raise StorageDamaged(
            f"sqlite: the file is damaged: its schema is not whole at {', '.join(missing)}"
        )


@cache
def _schema_of(scripts: tuple[str, ...]) -> frozenset[tuple[str, str, str]]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        _migrate(connection, list(scripts))
        return _schema(connection)


def _schema(connection: sqlite3.Connection) -> frozenset[tuple[str, str, str]]:
    """Return type, name and statement of each object, without comments and with normalised blanks."""
    return frozenset(
        (kind, name, " ".join(_COMMENT.sub("", str(sql)).split()))
        for kind, name, sql in connection.execute(_SCHEMA)
    )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _refuse_newer(version: int, scripts: list[str]) -> None:
    if version > len(scripts):
        raise SchemaTooNew(version, len(scripts))


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield _COMMENT.sub("", statement)
            statement = ""
