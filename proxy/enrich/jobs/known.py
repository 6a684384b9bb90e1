"""The known jobs: the record that began each, and the one that has its tokens and cost.

Bounded; kept in the store as well, so that a restart neither forgets nor doubles a count. What was
evicted, or is in a store that is not open yet, may have been counted: of a job that is older than
that, and not known, nothing can be said.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import msgspec

from storage.record import Job, now_us

MAX_JOBS: Final = 16_384
"""About 300 bytes each, 5 MB."""


def job_id(project: str | None, name: str) -> bytes:
    """Hash the provider's name of a job; the same name in another project is another job."""
    return hashlib.blake2b(
        f"{project or ''}\0{name}".encode("utf-8", "replace"), digest_size=16
    ).digest()


class KnownJobs:
    """The jobs of one sidecar. Not thread-safe."""

    def __init__(self, max_jobs: int = MAX_JOBS) -> None:
        self._max_jobs = max_jobs
        self._jobs: OrderedDict[bytes, Job] = OrderedDict()
        self._unknown_until_us = now_us()
        """Of jobs from before, some may be missing."""

    def load(self, jobs: Iterable[Job]) -> None:
        """Load the jobs of the store, newest first, once, as many as there is room for."""
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
        """Whether a job that is not known may have been, and counted."""
        until_us = self._unknown_until_us
        return bool(until_us) and (created_at_us is None or created_at_us <= until_us)

    def put(self, job: Job) -> None:
        """Keep the present state of a job; the one that changed least recently is dropped for it."""
        self._jobs[job.id] = job
        self._jobs.move_to_end(job.id)
        if len(self._jobs) > self._max_jobs:
            _, evicted = self._jobs.popitem(last=False)
            self._unknown_until_us = max(self._unknown_until_us, evicted.started_at_us)
