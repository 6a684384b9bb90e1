"""Jobs: who began them, who has their count; kept in whatever order batches come, gone with the
record.
"""

from dataclasses import dataclass
from typing import Any

from storage.query import Filter
from storage.record import Batch, Entry, Job
from storage.relational.time_ranges import HOUR_US
from tests.contract.test_storage_tools import START
from tests.storage.samples import make_record


@dataclass(frozen=True)
class World:
    """One store."""

    store: Any

    async def commit(self, *jobs: Job) -> None:
        await self.store.commit(
            Batch("sidecar-1", [Entry(make_record(), None, [], [job]) for job in jobs])
        )


async def test_what_is_known_of_a_job_is_never_forgotten(store: Any) -> None:
    """The beginning and the count, whichever batch comes first, also both in one."""
    world = World(store)
    begun = b"b" * 16
    counted = b"c" * 16

    for number, order in enumerate(((0, 1), (1, 0))):
        parts = [
            Job(bytes([number]) * 16, begun, START),
            Job(bytes([number]) * 16, counted, START + 5, counted),
        ]
        for part in order:
            await world.commit(parts[part])
        await world.commit(Job(bytes([number]) * 16, b"x" * 16, START + 9, b"y" * 16))
        assert Job(bytes([number]) * 16, begun, START, counted) in await store.jobs(10)

    assert len(await store.jobs(10)) == 2
    both = Job(b"3" * 16, begun, START), Job(b"3" * 16, counted, START + 5, counted)
    await world.commit(*both)
    assert Job(b"3" * 16, begun, START, counted) in await store.jobs(10)


async def test_the_newest_are_read(store: Any) -> None:
    """As many as are asked for."""
    jobs = [Job(bytes([number]) * 16, bytes([number]) * 16, START + number) for number in range(5)]
    await World(store).commit(*jobs)
    assert await store.jobs(2) == [jobs[4], jobs[3]]
    assert await store.jobs(0) == []


async def test_the_answers_of_a_record_are_found(store: Any) -> None:
    """Each once, whatever files belong to the job; not the record itself, nor what nobody has
    counted.
    """
    world = World(store)
    begun = b"b" * 16
    await world.commit(
        Job(b"1" * 16, begun, START, b"c" * 16),
        Job(b"2" * 16, begun, START, b"c" * 16),
        Job(b"3" * 16, begun, START),
        Job(b"4" * 16, begun, START, begun),
        Job(b"5" * 16, b"x" * 16, START, b"d" * 16),
    )
    assert await store.answers_of(begun) == [b"c" * 16]
    assert await store.answers_of(b"n" * 16) == []
    assert await store.answers_of(b"short") == []


async def test_a_job_goes_with_the_record_that_began_it(store: Any) -> None:
    """Erased or purged: a count that was never made is not missed."""
    for attempt in ("erase", "purge"):
        record = make_record(started_at_us=START)
        await store.commit(
            Batch("sidecar-1", [Entry(record, None, [], [Job(b"j" * 16, record.id, START)])])
        )
        assert len(await store.jobs(10)) == 1

        if attempt == "erase":
            await store.erase(Filter(kind="all"))
        else:
            await store.move_floors(START + HOUR_US, START + HOUR_US)
            while not (await store.purge(100)).is_done:
                pass

        assert await store.jobs(10) == []
