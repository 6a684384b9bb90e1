"""What is saved of a file that is damaged or gone: keys, views, positions, counters; and the file under another name.

Strategy: the small tables that nothing else can bring back are read row by row as far as they can be, with a schema
that need not be whole, and each row is checked before it is kept. Everything else stays in the file, for `.recover`.

Invariant: only a file that sidelog has written is ever renamed, and nothing is deleted.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from storage.search.view import View

Row = tuple[Any, ...]
Kept = dict[str, list[Row]]
"""Table → rows."""

_MARK: Final = b"ingest_position"
"""In the schema of every file of ours."""
_MARK_BYTES: Final = 1 << 20
_FORMATS: Final = slice(18, 20)
"""Versions of the format for writers and readers."""
_JOURNALS: Final = ("-wal", "-shm")
_UUID_BYTES: Final = 16
_HASH_BYTES: Final = 32
_MAX_COUNT: Final = 1 << 62
_COLUMNS: Final = {
    "meta": ("name", "value"),
    "ingest_position": ("instance", "source", "end_offset", "taken", "stored", "received", "dropped", "closed"),
    "api_keys": (
        "id", "name", "last4", "secret_sha256", "scopes", "agents", "expires_at_us", "disabled", "project", "user_id",
        "created_at_us", "last_used_at_us", "deleted_at_us",
    ),
    "views": ("owner", "name", "content"),
}  # fmt: skip


def is_ours(path: Path) -> bool:
    """Whether a file was written by sidelog, however damaged it is."""
    with suppress(OSError), path.open("rb") as file:
        return _MARK in file.read(_MARK_BYTES)
    return False


def has_torn_header(path: Path | None) -> bool:
    """Whether the header names a format that SQLite only reads, or not even that (SQLite, "Database File Format")."""
    if path is None:
        return False
    with suppress(OSError), path.open("rb") as file:
        header = file.read(_FORMATS.stop)
        return is_ours(path) and not set(header[_FORMATS]) <= {1, 2}
    return False


def set_aside(path: Path, mark: str) -> tuple[Path, Kept]:
    """Save what can be, and give a damaged file and its journals another name: its own, a mark, the time."""
    kept: Kept = {}
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = on")  # reads a schema that is not whole
        connection.execute("PRAGMA query_only = on")
        kept = read_kept(connection)
    place = path.with_name(f"{path.name}{mark}{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}")
    for journal in _JOURNALS:
        with suppress(FileNotFoundError):
            path.with_name(path.name + journal).rename(place.with_name(place.name + journal))
    path.rename(place)
    return place, kept


def read_kept(connection: sqlite3.Connection) -> Kept:
    """Read the rows that can be read and are plausible."""
    kept: Kept = {}
    for table, columns in _COLUMNS.items():
        rows = kept[table] = []
        with suppress(sqlite3.Error):
            found = connection.execute(f"SELECT {', '.join(columns)} FROM {table}")
            rows += (row for row in found if _IS_PLAUSIBLE[table](row))
    return kept


def write_kept(connection: sqlite3.Connection, kept: Kept) -> None:
    """Put the rows into a file, inside a transaction: a new one, or another store that was put there."""
    counters = dict(connection.execute("SELECT name, value FROM meta WHERE typeof(value) = 'integer'"))
    for table, rows in kept.items():
        columns = _COLUMNS[table]
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({marks})"
        connection.executemany(sql, rows)
    # What the file has itself may be further on.
    connection.executemany("UPDATE meta SET value = max(value, ?2) WHERE name = ?1", counters.items())


def _is_meta(row: Row) -> bool:
    name, value = row
    if not isinstance(name, str):
        return False
    if name.startswith("value:"):
        return isinstance(value, str)
    # Floors and marks of what is gone are of rows that the new file has not.
    return name in ("last_seq", "last_block", "key_version") and isinstance(value, int) and 0 <= value < _MAX_COUNT


def _is_position(row: Row) -> bool:
    instance, source, *counts, dropped, closed = row
    if not isinstance(instance, str) or not isinstance(source, bytes) or len(source) != _UUID_BYTES:
        return False
    try:
        msgspec.json.decode(dropped, type=dict[str, int])
    except (msgspec.DecodeError, TypeError):
        return False
    return closed in (0, 1) and all(isinstance(count, int) and abs(count) < _MAX_COUNT for count in counts)


def _is_key(row: Row) -> bool:
    record = dict(zip(_COLUMNS["api_keys"], row, strict=True))
    secret = record["secret_sha256"]
    return (
        all(isinstance(record[name], str) for name in ("id", "name", "last4"))
        and (secret is None or (isinstance(secret, bytes) and len(secret) == _HASH_BYTES))
        and record["disabled"] in (0, 1)
        and isinstance(record["created_at_us"], int)
        and all(record[name] is None or isinstance(record[name], str) for name in ("scopes", "agents", "project"))
    )


def _is_view(row: Row) -> bool:
    owner, name, content = row
    if not isinstance(owner, str):
        return False
    try:
        return bool(msgspec.json.decode(content, type=View).name == name)
    except (msgspec.DecodeError, TypeError):
        return False


_IS_PLAUSIBLE: Final[dict[str, Callable[[Row], bool]]] = {
    "meta": _is_meta,
    "ingest_position": _is_position,
    "api_keys": _is_key,
    "views": _is_view,
}
