"""Writing jobs. Their beginning and their count may come in any order of batches, and neither is
lost.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from storage.record import Entry, Job
from storage.relational.rollup_sql import merging
from storage.relational.sql import Statements

_TYPES: Final = {
    "id": "uuid", "begun_by": "uuid", "started_at_us": "bigint", "counted_by": "uuid",
}  # fmt: skip
_MERGED: Final = {
    "begun_by": "CASE WHEN excluded.started_at_us < known.started_at_us "
    "THEN excluded.begun_by ELSE known.begun_by END",
    "started_at_us": "CASE WHEN excluded.started_at_us < known.started_at_us "
    "THEN excluded.started_at_us ELSE known.started_at_us END",
    "counted_by": "coalesce(known.counted_by, excluded.counted_by)",
}


def jobs_of(entries: Iterable[Entry]) -> list[Job]:
    """Return the jobs of one batch, each once: a statement cannot change a row twice."""
    found: dict[bytes, Job] = {}
    for entry in entries:
        for job in entry.jobs:
            known = found.get(job.id, job)
            first = min(known, job, key=lambda one: one.started_at_us)
            counted_by = known.counted_by or job.counted_by
            found[job.id] = Job(job.id, first.begun_by, first.started_at_us, counted_by)

    # The same order everywhere, so that two sidecars never wait for each other.
    return [found[number] for number in sorted(found)]


async def merge_jobs(statements: Statements, jobs: Sequence[Job]) -> None:
    if not jobs:
        return
    dialect = statements.dialect
    sql = merging(f"{dialect.schema}jobs", ("id",), _MERGED, dialect.given(_TYPES))
    await statements.write_rows(
        sql, [(job.id, job.begun_by, job.started_at_us, job.counted_by) for job in jobs]
    )


async def erase_jobs(statements: Statements, record_ids: Iterable[bytes]) -> None:
    """Forget the jobs that some records began."""
    dialect = statements.dialect
    sql = f"DELETE FROM {dialect.schema}jobs WHERE begun_by IN ({dialect.given({'id': 'uuid'})})"
    await statements.write_rows(sql, [(record_id,) for record_id in record_ids])


async def drop_jobs(statements: Statements, floor_us: int) -> None:
    """Forget the jobs of records below the floor."""
    dialect = statements.dialect
    sql = f"DELETE FROM {dialect.schema}jobs WHERE started_at_us < {dialect.placeholder(1)}"
    await statements.fetch(sql, (floor_us,))
