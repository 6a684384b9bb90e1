"""Reading jobs: what a collector needs to know again after a restart."""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from storage.record import Job
from storage.relational.session import Session
from storage.relational.sql import MAX_INT


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
