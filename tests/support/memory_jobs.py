"""Jobs of the store without a disk: a dict, in which what is known of a beginning and a count is
never forgotten.
"""

from collections.abc import Container, Iterable

from storage.record import Entry, Job


class MemoryJobs:
    """The part of a store that keeps jobs."""

    def __init__(self) -> None:
        self._jobs: dict[bytes, Job] = {}

    def keep_jobs(self, entries: Iterable[Entry]) -> None:
        """Merge what became known."""
        for job in (job for entry in entries for job in entry.jobs):
            known = self._jobs.get(job.id, job)
            first = min(known, job, key=lambda one: one.started_at_us)
            self._jobs[job.id] = Job(
                job.id, first.begun_by, first.started_at_us, known.counted_by or job.counted_by
            )

    def forget_jobs(self, ids: Container[bytes]) -> None:
        """Forget the jobs of records that are gone."""
        self._jobs = {number: job for number, job in self._jobs.items() if job.begun_by not in ids}

    async def jobs(self, limit: int) -> list[Job]:
        return sorted(self._jobs.values(), key=lambda job: -job.started_at_us)[: max(limit, 0)]

    async def answers_of(self, record_id: bytes) -> list[bytes]:
        found = {job.counted_by for job in self._jobs.values() if job.begun_by == record_id}
        return sorted(
            counted_by for counted_by in found if counted_by is not None and counted_by != record_id
        )
