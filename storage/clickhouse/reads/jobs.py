"""Reading jobs: parts of what is known of each, put together here.

Invariant: whichever part was committed first, the earliest beginning and the first count are what is known.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from typing import Final

from storage.record import Job
from storage.relational.by_id import ID_BYTES
from storage.relational.session import Parameters, Session
from storage.relational.sql import MAX_INT

_MAX_ANSWERS: Final = 16


async def jobs(session: Session, limit: int) -> list[Job]:
    """Read the newest jobs."""
    floor_us = (await session.state()).purge_floor_us
    if limit <= 0:
        return []
    newest = (
        f"SELECT id FROM jobs WHERE {session.dialect.committed} AND started_at_us >= $1 GROUP BY id "
        "ORDER BY min(started_at_us) DESC LIMIT $2"
    )
    found = await _put_together(session, newest, (floor_us, min(limit, MAX_INT)))
    return sorted(found, key=lambda job: job.started_at_us, reverse=True)


async def answers_of(session: Session, record_id: bytes) -> list[bytes]:
    """Read the ids of the records that the jobs are counted with which one record began."""
    if len(record_id) != ID_BYTES:
        return []
    floor_us = (await session.state()).purge_floor_us
    named = f"SELECT id FROM jobs WHERE {session.dialect.committed} AND started_at_us >= $1 AND begun_by = $2"
    found = await _put_together(session, named, (floor_us, record_id))
    answers = {job.counted_by for job in found if job.begun_by == record_id and job.counted_by is not None}
    return sorted(answers - {record_id})[:_MAX_ANSWERS]


async def _put_together(session: Session, ids: str, parameters: Parameters) -> list[Job]:
    sql = (
        f"SELECT id, begun_by, started_at_us, counted_by FROM jobs WHERE id IN ({ids}) AND {session.dialect.committed} "
        "AND started_at_us >= $1 ORDER BY attempt, place"
    )
    known: dict[bytes, Job] = {}
    for part in await session.fetch(sql, parameters):
        job = Job(*part)
        before = known.get(job.id, job)
        first = min(before, job, key=lambda one: one.started_at_us)
        known[job.id] = Job(job.id, first.begun_by, first.started_at_us, before.counted_by or job.counted_by)
    return list(known.values())
