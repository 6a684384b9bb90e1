"""API keys: few rows, read whole, each change one transaction with the version that tells of it.

Text is kept as `storage.postgres.text` writes it. A key that changes is locked first, so that of two sidecars one
changes what the other left.
"""

# ruff: noqa: S608 -- identifiers come from a closed table, every value is a bound parameter

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from storage.keys import ApiKey, KeyChanges, KeyUpdate, changed, deleted
from storage.postgres.connection import Connection
from storage.postgres.state import read_state
from storage.postgres.text import escape, unescape

_COLUMNS: Final[tuple[str, ...]] = ApiKey.__struct_fields__
_LISTS: Final = ("scopes", "agents")
_MARKS: Final = ", ".join(f"${place}" for place in range(1, len(_COLUMNS) + 1))
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM sidelog.api_keys"
_INSERT: Final = f"INSERT INTO sidelog.api_keys ({', '.join(_COLUMNS)}) VALUES ({_MARKS})"
_UPDATE: Final = f"UPDATE sidelog.api_keys SET ({', '.join(_COLUMNS)}) = ({_MARKS}) WHERE id = $1"
_TOUCH: Final = (
    "UPDATE sidelog.api_keys AS known SET last_used_at_us = used.at_us "
    "FROM unnest($1::text[], $2::bigint[]) AS used (id, at_us) "
    "WHERE known.id = used.id AND coalesce(known.last_used_at_us, 0) < used.at_us"
)


async def read_keys(connection: Connection) -> list[ApiKey]:
    """List every key in the order of creation, deleted ones included."""
    return [_key(row) for row in await connection.fetch(f"{_SELECT} ORDER BY created_at_us, id")]


async def read_version(connection: Connection) -> int:
    """Read how many changes there were."""
    return (await read_state(connection)).key_version


async def create(connection: Connection, key: ApiKey) -> None:
    """Insert a key."""
    await connection.execute(_INSERT, *_row(key))
    await _count_change(connection)


async def update(connection: Connection, key_id: str, changes: KeyChanges) -> KeyUpdate | None:
    """Change a key that is not deleted."""
    return await _replace(connection, key_id, lambda key: changed(key, changes))


async def delete(connection: Connection, key_id: str, at_us: int) -> KeyUpdate | None:
    """Delete a key that is not deleted."""
    return await _replace(connection, key_id, lambda key: deleted(key, at_us))


async def touch(connection: Connection, uses: Mapping[str, int]) -> None:
    """Note the newest use of keys; unknown ones are left out."""
    used = sorted((escape(key_id), at_us) for key_id, at_us in uses.items())
    await connection.execute(_TOUCH, [key_id for key_id, _ in used], [at_us for _, at_us in used])


async def _replace(connection: Connection, key_id: str, change: Callable[[ApiKey], ApiKey]) -> KeyUpdate | None:
    row = await connection.fetchrow(f"{_SELECT} WHERE id = $1 AND deleted_at_us IS NULL FOR UPDATE", escape(key_id))
    if row is None:
        return None
    before = _key(row)
    after = change(before)
    await connection.execute(_UPDATE, *_row(after))
    await _count_change(connection)
    return KeyUpdate(before, after)


async def _count_change(connection: Connection) -> None:
    await connection.execute("UPDATE sidelog.state SET key_version = key_version + 1")


def _row(key: ApiKey) -> tuple[Any, ...]:
    values = msgspec.structs.asdict(key)
    for name in _LISTS:
        if values[name] is not None:
            values[name] = msgspec.json.encode(values[name]).decode()
    return tuple(escape(value) if isinstance(value, str) else value for value in values.values())


def _key(row: Iterable[Any]) -> ApiKey:
    values: dict[str, Any] = {
        column: unescape(value) if isinstance(value, str) else value
        for column, value in zip(_COLUMNS, row, strict=True)
    }
    for name in _LISTS:
        if values[name] is not None:
            values[name] = msgspec.json.decode(values[name], type=tuple[str, ...])
    return ApiKey(**values)
