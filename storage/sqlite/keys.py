"""API keys in the SQLite file: few rows, read whole, each change one transaction with the version that tells of it."""

# ruff: noqa: S608 -- identifiers come from a closed table, every value is a bound parameter

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from storage.keys import ApiKey, KeyChanges, KeyUpdate, changed, deleted

_COLUMNS: Final[tuple[str, ...]] = ApiKey.__struct_fields__
_LISTS: Final = ("scopes", "agents")
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM api_keys"
_INSERT: Final = f"INSERT INTO api_keys ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_UPDATE: Final = f"UPDATE api_keys SET {', '.join(f'{column} = ?' for column in _COLUMNS)} WHERE id = ?"
_TOUCH: Final = "UPDATE api_keys SET last_used_at_us = ? WHERE id = ? AND coalesce(last_used_at_us, 0) < ?"


def read_keys(connection: sqlite3.Connection) -> list[ApiKey]:
    """List every key in the order of creation, deleted ones included."""
    return [_key(row) for row in connection.execute(f"{_SELECT} ORDER BY created_at_us, id")]


def read_version(connection: sqlite3.Connection) -> int:
    """Read how many changes there were."""
    return int(connection.execute("SELECT value FROM meta WHERE name = 'key_version'").fetchone()[0])


def create(connection: sqlite3.Connection, key: ApiKey) -> None:
    """Insert a key."""
    with _transaction(connection):
        connection.execute(_INSERT, _row(key))
        _count_change(connection)


def update(connection: sqlite3.Connection, key_id: str, changes: KeyChanges) -> KeyUpdate | None:
    """Change a key that is not deleted."""
    return _replace(connection, key_id, lambda key: changed(key, changes))


def delete(connection: sqlite3.Connection, key_id: str, at_us: int) -> KeyUpdate | None:
    """Delete a key that is not deleted."""
    return _replace(connection, key_id, lambda key: deleted(key, at_us))


def touch(connection: sqlite3.Connection, uses: Mapping[str, int]) -> None:
    """Note the newest use of keys; unknown ones are left out."""
    with _transaction(connection):
        connection.executemany(_TOUCH, [(at_us, key_id, at_us) for key_id, at_us in uses.items()])


def _replace(connection: sqlite3.Connection, key_id: str, change: Callable[[ApiKey], ApiKey]) -> KeyUpdate | None:
    with _transaction(connection):
        row = connection.execute(f"{_SELECT} WHERE id = ? AND deleted_at_us IS NULL", (key_id,)).fetchone()
        if row is None:
            return None
        before = _key(row)
        after = change(before)
        connection.execute(_UPDATE, (*_row(after), key_id))
        _count_change(connection)
    return KeyUpdate(before, after)


def _count_change(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'key_version'")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _row(key: ApiKey) -> tuple[Any, ...]:
    values = msgspec.structs.asdict(key)
    for name in _LISTS:
        if values[name] is not None:
            values[name] = msgspec.json.encode(values[name]).decode()
    return tuple(values.values())


def _key(row: tuple[Any, ...]) -> ApiKey:
    values = dict(zip(_COLUMNS, row, strict=True))
    for name in _LISTS:
        if values[name] is not None:
            values[name] = msgspec.json.decode(values[name], type=tuple[str, ...])
    values["disabled"] = values["disabled"] == 1
    return ApiKey(**values)
