"""Writing jobs. Whichever batch comes first: what is known of the beginning and of the count is
never forgotten.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from asyncpg.pgproto.pgproto import UUID

from storage.postgres.connection import Connection
from storage.postgres.index_keys import SEQ_AMONG
from storage.record import Entry, Job

_MERGE: Final = (
    "INSERT INTO sidelog.jobs AS known (id, begun_by, started_at_us, counted_by) "
    "SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::uuid[]) "
    "ON CONFLICT (id) DO UPDATE SET "
    "begun_by = CASE WHEN excluded.started_at_us < known.started_at_us "
    "THEN excluded.begun_by ELSE known.begun_by END, "
    "started_at_us = least(known.started_at_us, excluded.started_at_us), "
    "counted_by = coalesce(known.counted_by, excluded.counted_by)"
)
_ERASE: Final = (
    f"DELETE FROM sidelog.jobs WHERE begun_by IN (SELECT id FROM sidelog.records WHERE {SEQ_AMONG})"
)


def jobs_of(entries: Iterable[Entry]) -> list[Job]:
    """Return the jobs of one batch, each once: a statement cannot change a row twice."""
    found: dict[bytes, Job] = {}
    for entry in entries:
        for job in entry.jobs:
            known = found.get(job.id, job)
            first = min(known, job, key=lambda one: one.started_at_us)
            counted_by = known.counted_by or job.counted_by
            found[job.id] = Job(job.id, first.begun_by, first.started_at_us, counted_by)

    # In one order, so that two sidecars never wait for each other.
    return [found[number] for number in sorted(found)]


async def merge_jobs(connection: Connection, jobs: Sequence[Job]) -> None:
    if jobs:
        await connection.execute(
            _MERGE,
            [UUID(job.id) for job in jobs],
            [UUID(job.begun_by) for job in jobs],
            [job.started_at_us for job in jobs],
            [None if job.counted_by is None else UUID(job.counted_by) for job in jobs],
        )


async def erase_jobs(connection: Connection, seqs: list[int]) -> None:
    """Forget the jobs that some records began."""
    await connection.execute(_ERASE, seqs)


async def drop_jobs(connection: Connection, floor_us: int) -> None:
    """Forget the jobs of records below the floor."""
    await connection.execute("DELETE FROM sidelog.jobs WHERE started_at_us < $1", floor_us)
