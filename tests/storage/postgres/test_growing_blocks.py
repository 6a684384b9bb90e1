"""Blocks of conversations, in a database that several sidecars share."""

import asyncio

import asyncpg
import pytest

from storage.postgres import partitions, write
from storage.postgres.store import PostgresStorage
from storage.query import Filter
from storage.record import Batch, now_us
from storage.relational.blocks.payloads import GROWN
from storage.relational.time_ranges import DAY_US
from storage.search.expression import Substring
from tests.contract.test_storage_repeated_bodies import bodies, entry, history


async def grown(other: "asyncpg.Connection[asyncpg.Record]") -> list[int]:
    """List the blocks of conversations; what all blocks take must be what is counted."""
    counted, size = await other.fetchrow(  # type: ignore[misc]
        "SELECT (SELECT block_bytes FROM sidelog.counter), sum(octet_length(data)) "
        "FROM sidelog.blocks"
    )
    assert counted == (size or 0)
    rows = await other.fetch("SELECT id FROM sidelog.blocks WHERE kind = $1 ORDER BY id", GROWN)
    return [number for (number,) in rows]


async def test_a_block_stays_in_the_partition_of_its_day(
    store: PostgresStorage,
    other: "asyncpg.Connection[asyncpg.Record]",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After midnight the next one begins, and the day before can go as a whole."""
    now = now_us()
    tomorrow = now + DAY_US
    monkeypatch.setattr(write, "now_us", lambda: now)
    for turn in range(3):
        await store.commit(Batch("sidecar-1", [entry(turn)]))
    monkeypatch.setattr(write, "now_us", lambda: tomorrow)
    for turn in range(3, 6):
        await store.commit(Batch("sidecar-1", [entry(turn)]))
    days = [number >> partitions.BLOCK_DAY_BITS for number in await grown(other)]
    assert days == [partitions.day_of(tomorrow) - 1, partitions.day_of(tomorrow)]
    assert await bodies(store, *range(1, 7)) == [history(turn) for turn in range(6)]


async def test_what_another_sidecar_erases_is_not_written_again(
    store: PostgresStorage, second: PostgresStorage, other: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """The batch that finds its block changed begins the next one, and nothing of what is left is
    lost.
    """
    for turn in range(3):
        await store.commit(Batch("sidecar-1", [entry(turn)]))
    secret = entry(3, word="secretive")
    await store.commit(Batch("sidecar-1", [secret]))
    await second.erase(Filter(where=Substring("secretive")))
    for turn in range(4, 7):
        await store.commit(Batch("sidecar-1", [entry(turn)]))
    assert await bodies(second, 1, 2, 3, 5, 6, 7) == [history(turn) for turn in (0, 1, 2, 4, 5, 6)]
    assert len(await grown(other)) == 2
    await second.erase(Filter())
    assert await grown(other) == []
    await store.commit(Batch("sidecar-1", [entry(7)]))
    assert await bodies(store, 8) == [history(7)]


async def test_sidecars_that_erase_and_write_at_once_lose_nothing(
    store: PostgresStorage, second: PostgresStorage, other: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Calls of one conversation over both, while every third is erased."""

    async def write_all(writer: PostgresStorage, first: int) -> None:
        for turn in range(first, first + 30):
            word = "secretive" if turn % 3 == 0 else "hay"
            await writer.commit(Batch(f"sidecar-{first}", [entry(turn, word=word)]))

    async def erase_some() -> None:
        for _ in range(12):
            await second.erase(Filter(where=Substring("secretive")))

    async with asyncio.TaskGroup() as group:
        group.create_task(write_all(store, 0))
        group.create_task(write_all(second, 30))
        group.create_task(erase_some())

    await second.erase(Filter(where=Substring("secretive")))
    left = sorted(found for found in await bodies_of_all(store))
    assert left == sorted(history(turn) for turn in range(60) if turn % 3)
    await grown(other)


async def bodies_of_all(store: PostgresStorage) -> list[bytes]:
    """Request bodies of all records that are left."""
    found = await store.payloads(range(1, 61))
    return [
        payload.request_body.head for payload in found.values() if payload.request_body is not None
    ]
