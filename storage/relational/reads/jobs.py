"""Reading jobs: what a collector needs to know again after a restart."""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from typing import Final

from storage.record import Job
from storage.relational.by_id import ID_BYTES
from storage.relational.session import Session
from storage.relational.sql import MAX_INT

_MAX_ANSWERS: Final = 16


async def answers_of(session: Session, record_id: bytes) -> list[bytes]:
    if len(record_id) != ID_BYTES:
        return []
    dialect = session.dialect
    sql = (
        f"SELECT DISTINCT counted_by FROM {dialect.schema}jobs "
        f"WHERE begun_by = {dialect.placeholder(1)} AND counted_by <> begun_by ORDER BY counted_by LIMIT {_MAX_ANSWERS}"
    )
    return [dialect.to_id(found) for (found,) in await session.fetch(sql, (dialect.from_id(record_id),))]


async def jobs(session: Session, limit: int) -> list[Job]:
    dialect, to_id = session.dialect, session.dialect.to_id
    sql = (
        f"SELECT id, begun_by, started_at_us, counted_by FROM {dialect.schema}jobs "
        f"ORDER BY started_at_us DESC LIMIT {dialect.mark(1)}"
    )
    rows = await session.fetch(sql, (max(0, min(limit, MAX_INT)),))
    return [
        Job(to_id(number), to_id(begun_by), at_us, None if counted_by is None else to_id(counted_by))
        for number, begun_by, at_us, counted_by in rows
    ]
