"""What a store says it takes is what it takes, whatever its rows are."""

import random
from collections.abc import Callable

import asyncpg
import pytest

from storage.postgres.store import PostgresStorage
from storage.record import Record
from tests.storage.samples import START_US, make_batch, make_record
from tests.support import postgres

chance = random.Random(7)


def message(number: int) -> Record:
    """A WebSocket message as it is kept by default, binary."""
    return make_record(kind="event", started_at_us=START_US, data=chance.randbytes(5500))


def long_query(number: int) -> Record:
    """A request line of the length that is allowed."""
    return make_record(started_at_us=START_US, query=chance.randbytes(3000).hex())


def usual(number: int) -> Record:
    """Nothing of note."""
    return make_record(started_at_us=START_US, path=f"/items/{number}")


@pytest.mark.parametrize("make", [message, long_query, usual])
async def test_rows_take_what_is_said(
    store: PostgresStorage,
    other: "asyncpg.Connection[asyncpg.Record]",
    make: Callable[[int], Record],
) -> None:
    """The cap on size is held by this figure."""
    before = (await store.retention()).used_bytes
    for _ in range(4):
        await store.commit(make_batch(*(make(number) for number in range(1000))))
    size = await postgres.size_of_rows(other)
    assert 0.75 * size <= (await store.retention()).used_bytes - before <= 1.25 * size
