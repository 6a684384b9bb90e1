"""Writing jobs. Whichever batch comes first: what is known of the beginning and of the count is never forgotten."""

import sqlite3
from collections.abc import Iterable
from typing import Final

from storage.record import Entry

_MERGE: Final = (
    "INSERT INTO jobs (id, begun_by, started_at_us, counted_by) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
    "begun_by = CASE WHEN excluded.started_at_us < started_at_us THEN excluded.begun_by ELSE begun_by END, "
    "started_at_us = min(started_at_us, excluded.started_at_us), "
    "counted_by = coalesce(counted_by, excluded.counted_by)"
)


def merge_jobs(connection: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    jobs = [job for entry in entries if entry.jobs for job in entry.jobs]
    if jobs:
        rows = [(job.id, job.begun_by, job.started_at_us, job.counted_by) for job in jobs]
        connection.executemany(_MERGE, rows)
