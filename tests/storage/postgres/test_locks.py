"""Of sidecars that share a database, one that takes records out and one that stores some never wait
in a circle.
"""

import asyncio
from typing import Any

import asyncpg

from storage.base import Storage
from storage.query import CountQuery, Filter
from storage.record import Batch, Entry, Job, Record
from storage.relational.time_ranges import HOUR_US
from tests.storage.samples import START_US, make_payload, make_record
from tests.support import postgres
from tests.support.filters import make_filter

JOB_ID = bytes(range(16))
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"

Other = asyncpg.Connection


async def until_waiting(
    other: "Other[asyncpg.Record]", sessions: int, *unless: asyncio.Task[Any]
) -> None:
    """Wait until so many sessions wait for a lock, or fewer by those of tasks that are done by
    then.
    """
    await postgres.until(
        other, WAITING, lambda waiting: waiting >= sessions - sum(task.done() for task in unless)
    )


def batch(*records: Record) -> Batch:
    """A batch of the second sidecar, all of one job."""
    return Batch(
        "sidecar-2",
        [Entry(each, make_payload(), jobs=[Job(JOB_ID, each.id, 5)]) for each in records],
    )


def make_call(hours_later: int = 0) -> Record:
    """A call of a model that the second sidecar stores."""
    at_us = START_US + hours_later * HOUR_US
    return make_record(
        instance="sidecar-2", started_at_us=at_us, provider="openai", model="gpt", input_tokens=5
    )


async def test_an_erasure_counts_off_in_the_order_of_a_batch(
    store: Storage, second: Storage, other: "Other[asyncpg.Record]"
) -> None:
    """Sums of calls come behind the others: the batch that waited first has both, then the erasure."""
    await second.commit(batch(make_call()))
    async with asyncio.TaskGroup() as working, other.transaction():
        await other.fetch("SELECT FROM sidelog.rollups FOR UPDATE")
        storing = working.create_task(second.commit(batch(make_call())), name="store")
        await until_waiting(other, 1)
        erasing = working.create_task(store.erase(Filter(seq_until=1)), name="erase")
        await until_waiting(other, 2)

    assert storing.result() == 2
    assert erasing.result().exchanges == 1
    assert (await store.read(CountQuery(make_filter(is_llm=True)))).exchanges == 1


async def test_the_cap_on_size_forgets_jobs_behind_the_counter(
    store: Storage, second: Storage, other: "Other[asyncpg.Record]"
) -> None:
    """As a batch does that goes on with one: whoever has the counter waits for nobody who wants it."""
    await second.commit(batch(*[make_call() for _ in range(200)]))
    while not (await store.trim(1000)).bodies:
        pass
    async with asyncio.TaskGroup() as working, other.transaction():
        await other.fetch("SELECT FROM sidelog.jobs FOR UPDATE")
        trimming = working.create_task(store.trim(10), name="trim")
        await until_waiting(other, 1)
        storing = working.create_task(second.commit(batch(make_call(hours_later=20))), name="store")
        await until_waiting(other, 2)

    assert trimming.result().rows == 10
    assert storing.result() == 201


async def test_retention_forgets_jobs_without_the_counter(
    store: Storage, second: Storage, other: "Other[asyncpg.Record]"
) -> None:
    """A batch may go on with a job that is too old, and has the counter by then."""
    await second.commit(batch(make_call()))
    await store.move_floors(START_US + 2 * HOUR_US, 0)
    assert (await store.purge(1000)).rows == 1
    assert not (await store.purge(1000)).is_done  # its sums

    async with asyncio.TaskGroup() as working, other.transaction():
        await other.fetch("SELECT FROM sidelog.jobs FOR UPDATE")
        purging = working.create_task(store.purge(1000), name="purge")
        await asyncio.wait((purging,), timeout=0.5)
        storing = working.create_task(second.commit(batch(make_call(hours_later=20))), name="store")
        await until_waiting(other, 2, purging)

    assert purging.result().blocks
    assert storing.result() == 2
