"""Small tables beside the records: API keys, named values of the store, views, and jobs.

Keys and views are few rows and are read whole. A change of a key also raises the version that
announces it, in one transaction. The key is locked first, so that the changes of two sidecars
follow each other.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from storage.keys import ApiKey, KeyChanges, KeyUpdate, changed, deleted
from storage.record import Job
from storage.relational.by_id import ID_BYTES
from storage.relational.session import Session
from storage.relational.sql import MAX_INT, Dialect
from storage.search.view import PutView, View, put_result

_COLUMNS: Final[tuple[str, ...]] = ApiKey.__struct_fields__
_LISTS: Final = ("scopes", "agents")
"""Columns stored as JSON."""
_MAX_ANSWERS: Final = 16


async def read_keys(session: Session) -> list[ApiKey]:
    rows = await session.fetch(f"{_select(session.dialect)} ORDER BY created_at_us, id")
    return [_key(row) for row in rows]


async def create_key(session: Session, key: ApiKey) -> None:
    marks = ", ".join(map(session.dialect.placeholder, range(1, len(_COLUMNS) + 1)))
    sql = f"INSERT INTO {session.dialect.schema}api_keys ({', '.join(_COLUMNS)}) VALUES ({marks})"
    await session.fetch(sql, _row(key))
    await session.fetch(session.dialect.change_state("key_version", "{} + 1"))


async def update_key(session: Session, key_id: str, changes: KeyChanges) -> KeyUpdate | None:
    return await _replace(session, key_id, lambda key: changed(key, changes))


async def delete_key(session: Session, key_id: str, at_us: int) -> KeyUpdate | None:
    return await _replace(session, key_id, lambda key: deleted(key, at_us))


async def touch_keys(session: Session, uses: Mapping[str, int]) -> None:
    """Store the newest use of keys; unknown ones are left out."""
    at, key_id, newest = map(session.dialect.placeholder, (1, 2, 3))
    sql = (
        f"UPDATE {session.dialect.schema}api_keys SET last_used_at_us = {at} "
        f"WHERE id = {key_id} AND coalesce(last_used_at_us, 0) < {newest}"
    )
    # In one order, so that two sidecars cannot wait for each other (deadlock).
    rows = [(at_us, key_id, at_us) for key_id, at_us in sorted(uses.items())]
    await session.execute_many(sql, rows)


async def read_meta(session: Session, name: str) -> str | None:
    """Read a value of the table `meta` by its name; None if it is not stored."""
    dialect = session.dialect
    sql = f"SELECT value FROM {dialect.schema}meta WHERE name = {dialect.placeholder(1)}"
    rows = await session.fetch(sql, (dialect.meta_prefix + name,))
    if rows:
        return str(rows[0][0])
    return None


async def put_meta(session: Session, name: str, value: str, *, replace: bool) -> str:
    """Store a value in the table `meta`, without `replace` only if the name is new; return the
    stored value.
    """
    dialect = session.dialect
    if replace:
        conflict = "DO UPDATE SET value = excluded.value"
    else:
        conflict = "DO NOTHING"
    sql = (
        f"INSERT INTO {dialect.schema}meta (name, value) "
        f"VALUES ({dialect.placeholder(1)}, {dialect.placeholder(2)}) ON CONFLICT (name) {conflict}"
    )
    await session.fetch(sql, (dialect.meta_prefix + name, value))
    kept = await read_meta(session, name)
    assert kept is not None
    return kept


async def _replace(
    session: Session, key_id: str, change: Callable[[ApiKey], ApiKey]
) -> KeyUpdate | None:
    """Change a key; None if there is none, or it is deleted."""
    dialect = session.dialect
    living = f"WHERE id = {dialect.placeholder(1)} AND deleted_at_us IS NULL{dialect.row_lock}"
    rows = await session.fetch(f"{_select(dialect)} {living}", (key_id,))
    if not rows:
        return None

    before = _key(rows[0])
    after = change(before)
    columns = ", ".join(
        f"{column} = {dialect.placeholder(place)}" for place, column in enumerate(_COLUMNS, 1)
    )
    where = f"id = {dialect.placeholder(len(_COLUMNS) + 1)}"
    sql = f"UPDATE {dialect.schema}api_keys SET {columns} WHERE {where}"
    await session.fetch(sql, (*_row(after), key_id))
    await session.fetch(dialect.change_state("key_version", "{} + 1"))
    return KeyUpdate(before, after)


def _select(dialect: Dialect) -> str:
    return f"SELECT {', '.join(_COLUMNS)} FROM {dialect.schema}api_keys"


def _row(key: ApiKey) -> tuple[Any, ...]:
    values = msgspec.structs.asdict(key)
    for name in _LISTS:
        if values[name] is not None:
            values[name] = msgspec.json.encode(values[name]).decode()
    return tuple(values.values())


def _key(row: Sequence[Any]) -> ApiKey:
    values: dict[str, Any] = dict(zip(_COLUMNS, row, strict=True))
    for name in _LISTS:
        if values[name] is not None:
            values[name] = msgspec.json.decode(values[name], type=tuple[str, ...])
    values["disabled"] = values["disabled"] == 1
    return ApiKey(**values)


async def read_views(session: Session, owner: str) -> list[View]:
    dialect = session.dialect
    sql = f"SELECT content FROM {dialect.schema}views WHERE owner = {dialect.placeholder(1)}"
    rows = await session.fetch(sql, (owner,))
    views = [msgspec.json.decode(row[0], type=View) for row in rows]
    return sorted(views, key=lambda view: view.name)


async def put_view(
    session: Session, owner: str, view: View, replaced: str | None = None
) -> PutView:
    """Store a saved view. It takes the place of the view `replaced`, or of one with the same name."""
    names = {known.name for known in await read_views(session, owner)}
    result = put_result(names, view.name, replaced)
    if result != "stored":
        return result

    await delete_view(session, owner, view.name if replaced is None else replaced)
    marks = ", ".join(map(session.dialect.placeholder, (1, 2, 3)))
    sql = f"INSERT INTO {session.dialect.schema}views (owner, name, content) VALUES ({marks})"
    await session.fetch(sql, (owner, view.name, msgspec.json.encode(view).decode()))
    return result


async def delete_view(session: Session, owner: str, name: str) -> bool:
    """Delete a view; False when there is none."""
    dialect = session.dialect
    where = f"owner = {dialect.placeholder(1)} AND name = {dialect.placeholder(2)}"
    sql = f"DELETE FROM {dialect.schema}views WHERE {where} RETURNING 1"
    return bool(await session.fetch(sql, (owner, name)))


async def read_answers(session: Session, record_id: bytes) -> list[bytes]:
    """Return the records that count the jobs begun by a record, itself left out."""
    if len(record_id) != ID_BYTES:
        return []

    dialect = session.dialect
    begun = dialect.placeholder(1)
    since = dialect.number_mark(2)
    counted = f"begun_by = {begun} AND counted_by <> begun_by AND started_at_us >= {since}"
    sql = (
        f"SELECT DISTINCT counted_by FROM {dialect.schema}jobs WHERE {dialect.of_commits(counted)} "
        f"ORDER BY counted_by LIMIT {_MAX_ANSWERS}"
    )
    floor_us = (await session.state()).purge_floor_us
    rows = await session.fetch(sql, (record_id, floor_us))
    return [dialect.to_bytes(number) for (number,) in rows]


async def read_jobs(session: Session, limit: int) -> list[Job]:
    """Return the newest jobs, which a collector needs after a restart."""
    dialect = session.dialect
    to_bytes = dialect.to_bytes
    sql = (
        f"SELECT id, begun_by, started_at_us, counted_by FROM {dialect.schema}jobs "
        f"WHERE {dialect.of_commits(f'started_at_us >= {dialect.number_mark(1)}')} "
        f"ORDER BY started_at_us DESC LIMIT {dialect.number_mark(2)}"
    )
    floor_us = (await session.state()).purge_floor_us
    jobs = []
    rows = await session.fetch(sql, (floor_us, max(0, min(limit, MAX_INT))))
    for number, begun_by, at_us, counted_by in rows:
        if counted_by is None:
            answer = None
        else:
            answer = to_bytes(counted_by)
        jobs.append(Job(to_bytes(number), to_bytes(begun_by), at_us, answer))
    return jobs
