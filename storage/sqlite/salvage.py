"""Salvage keys, views, positions and counters from a damaged file when it is opened, and rename the
file.

Strategy: small tables that cannot be rebuilt are read row by row as far as possible, even with an
incomplete schema, and each row is validated before it is kept. Everything else stays in the file,
for `.recover`.

Invariant: only a file that sidelog has written is ever renamed, and nothing is deleted.
"""

import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from storage.search.view import View

Row = tuple[Any, ...]
Kept = dict[str, list[Row]]
"""Table → rows."""

_MARK: Final = b"ingest_position"
"""Text in the schema of every file that sidelog has written."""
_MARK_BYTES: Final = 1 << 20
_FORMATS: Final = slice(18, 20)
"""Bytes of the header with the format versions for writers and readers."""
_JOURNALS: Final = ("-wal", "-shm")
_Count = Annotated[int, msgspec.Meta(gt=-(1 << 62), lt=1 << 62)]
_Uuid = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
_Hash = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_Flag = Literal[0, 1]
_COLUMNS: Final = {
    "meta": ("name", "value"),
    "ingest_position": ("instance", "source", "end_offset", "taken", "stored", "received", "dropped", "closed"),
    "api_keys": (
        "id", "name", "last4", "secret_sha256", "scopes", "agents", "expires_at_us", "disabled", "project", "user_id",
        "created_at_us", "last_used_at_us", "deleted_at_us",
    ),
    "views": ("owner", "name", "content"),
}  # fmt: skip
_ROWS: Final[dict[str, Any]] = {
    "meta": tuple[str, _Count | str],
    "ingest_position": tuple[str, _Uuid, _Count, _Count, _Count, _Count, str, _Flag],
    "api_keys": tuple[
        str, str, str, _Hash | None, str | None, str | None, Any, _Flag, str | None, Any, int, Any, Any
    ],
    "views": tuple[str, str, str],
}  # fmt: skip
"""Table → types of a row's values."""


def is_ours(path: Path) -> bool:
    """True if a file was written by sidelog, however damaged it is."""
    with suppress(OSError), path.open("rb") as file:
        return _MARK in file.read(_MARK_BYTES)
    return False


def has_torn_header(path: Path | None) -> bool:
    """True if the header names a format that SQLite can only read, or an invalid one (SQLite,
    "Database File Format").
    """
    if path is None:
        return False
    with suppress(OSError), path.open("rb") as file:
        header = file.read(_FORMATS.stop)
        return is_ours(path) and not set(header[_FORMATS]) <= {1, 2}
    return False


def set_aside(path: Path, mark: str) -> tuple[Path, Kept]:
    """Salvage rows, and rename a damaged file and its journals; the new name is the old one with a
    mark and the time.
    """
    kept: Kept = {}
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(path, isolation_level=None)) as connection,
    ):
        connection.execute("PRAGMA writable_schema = on")  # also reads an incomplete schema
        connection.execute("PRAGMA query_only = on")
        kept = _read_kept(connection)

    place = path.with_name(f"{path.name}{mark}{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}")
    for journal in _JOURNALS:
        with suppress(FileNotFoundError):
            path.with_name(path.name + journal).rename(place.with_name(place.name + journal))
    path.rename(place)
    return place, kept


def _read_kept(connection: sqlite3.Connection) -> Kept:
    """Return the readable and plausible rows."""
    kept: Kept = {}
    for table, columns in _COLUMNS.items():
        rows = kept[table] = []
        with suppress(sqlite3.Error):
            found = connection.execute(f"SELECT {', '.join(columns)} FROM {table}")
            rows += (row for row in found if _is_plausible(table, row))

    return kept


def write_kept(connection: sqlite3.Connection, kept: Kept) -> None:
    """Insert the salvaged rows into a new file, inside a transaction."""
    for table, rows in kept.items():
        columns = _COLUMNS[table]
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({marks})"
        connection.executemany(sql, rows)


def _is_plausible(table: str, row: Row) -> bool:
    try:
        msgspec.convert(row, _ROWS[table])
        if table == "ingest_position":
            msgspec.json.decode(row[-2], type=dict[str, int])
        if table == "views":
            return bool(msgspec.json.decode(row[2], type=View).name == row[1])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return False

    if table != "meta" or row[0].startswith("value:"):
        return table != "meta" or isinstance(row[1], str)
    # Floors and other marks are dropped: they are about rows that the new file does not have.
    return (
        row[0] in ("last_seq", "last_block", "key_version")
        and isinstance(row[1], int)
        and row[1] >= 0
    )
