"""The known jobs: the record that began each, and the record with its tokens and cost.

Bounded. The store keeps them as well, so that a restart neither forgets nor doubles a count. A job
that was evicted, or is in a store that is not open yet, may have been counted. So an unknown job
older than that is not counted at all.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import msgspec

from storage.record import Job, now_us

MAX_JOBS: Final = 16_384
"""Limit of jobs kept in memory: 5 MB at about 300 bytes each."""


def job_id(project: str | None, name: str) -> bytes:
    """Return the hash of a job's name at the provider and its project.

    The same name in two projects means two jobs.
    """
    return hashlib.blake2b(
        f"{project or ''}\0{name}".encode("utf-8", "replace"), digest_size=16
    ).digest()


class KnownJobs:
    """The jobs of one sidecar. Not thread-safe."""

    def __init__(self, max_jobs: int = MAX_JOBS) -> None:
        self._max_jobs = max_jobs
        self._jobs: OrderedDict[bytes, Job] = OrderedDict()
        self._unknown_until_us = now_us()
        """Load the stored jobs, newest first, up to the limit. Call once, when the store opens."""

    def load(self, jobs: Iterable[Job]) -> None:
        """Load the stored jobs, newest first, up to the limit. Called once, when the store opens."""
        stored = list(jobs)
        since = self._jobs
        self._jobs = OrderedDict()
        if len(stored) >= self._max_jobs:
            self._unknown_until_us = stored[-1].started_at_us
        else:
            self._unknown_until_us = 0

        for job in (*reversed(stored), *since.values()):
            known = self._jobs.get(job.id, job)
            first = min(known, job, key=lambda one: one.started_at_us)
            self.put(msgspec.structs.replace(first, counted_by=known.counted_by or job.counted_by))

    def get(self, key: bytes) -> Job | None:
        return self._jobs.get(key)

    def may_be_forgotten(self, created_at_us: int | None) -> bool:
        """Return True if an unknown job of this time may have been known, and counted, before."""
        until_us = self._unknown_until_us
        return bool(until_us) and (created_at_us is None or created_at_us <= until_us)

    def put(self, job: Job) -> None:
        """Keep the present state of a job. The least recently changed one is evicted for it."""
        self._jobs[job.id] = job
        self._jobs.move_to_end(job.id)
        if len(self._jobs) > self._max_jobs:
            _, evicted = self._jobs.popitem(last=False)
            self._unknown_until_us = max(self._unknown_until_us, evicted.started_at_us)
