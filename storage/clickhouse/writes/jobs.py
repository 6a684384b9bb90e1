"""Jobs as rows: each is a part of what is known of one, put together when it is read.

Invariant: whichever batch comes first, what is known of the beginning and of the count is never forgotten.
"""

from collections.abc import Sequence
from typing import Any, Final

from storage.clickhouse.native import Column
from storage.clickhouse.writes.rows import Rows
from storage.record import Entry

JOB_TYPES: Final = {
    "id": "FixedString(16)", "begun_by": "FixedString(16)", "started_at_us": "Int64",
    "counted_by": "Nullable(FixedString(16))", "place": "Int64",
}  # fmt: skip
"""Columns of `jobs`, beside `seq` and `attempt`."""


def jobs_of(entries: Sequence[Entry]) -> Rows | None:
    """Make the rows of `jobs`; None without any. See `Rows` for what it raises."""
    found = [(place, job) for place, entry in enumerate(entries) if entry.jobs for job in entry.jobs]
    if not found:
        return None
    jobs = [job for _, job in found]
    made: dict[str, Sequence[Any]] = {
        "id": [job.id for job in jobs],
        "begun_by": [job.begun_by for job in jobs],
        "started_at_us": [job.started_at_us for job in jobs],
        "counted_by": [job.counted_by for job in jobs],
        "place": range(len(jobs)),
    }
    columns = [Column(name, type, made[name]) for name, type in JOB_TYPES.items()]
    return Rows.write("jobs", [place for place, _ in found], columns)
