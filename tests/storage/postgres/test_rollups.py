"""Rollups by status in Postgres: kept beside the others, gone with their hours, and folded when
nobody adds to them.
"""

import asyncpg

from storage.postgres.store import PostgresStorage
from storage.query import Count, CountQuery, Filter
from storage.relational.time_ranges import HOUR_US
from tests.storage.samples import START_US, make_batch, make_record

Other = asyncpg.Connection


async def purge_all(store: PostgresStorage) -> None:
    """Delete whatever lies below the floors."""
    while not (await store.purge(100)).is_done:
        pass


async def test_sums_go_with_their_hours(
    store: PostgresStorage, other: "Other[asyncpg.Record]"
) -> None:
    """What lies below the floor is deleted, and what has come down to nothing is taken off."""
    hour = START_US // HOUR_US // 24 * 24 + 22

    async def left() -> tuple[list[int], list[int]]:
        hours = await other.fetch(
            "SELECT hour - $1 FROM sidelog.status_rollups ORDER BY hour", hour
        )
        days = await other.fetch(
            "SELECT day - $1 FROM sidelog.status_rollups_daily ORDER BY day", hour // 24
        )
        return [row[0] for row in hours], [row[0] for row in days]

    await store.commit(
        make_batch(*[make_record(started_at_us=(hour + number) * HOUR_US) for number in range(4)])
    )
    await store.commit(make_batch(make_record(started_at_us=(hour + 5) * HOUR_US)))
    assert await left() == ([0, 1, 2, 3, 5], [0, 1])
    await store.move_floors((hour + 1) * HOUR_US, 0)
    await purge_all(store)
    assert await left() == ([1, 2, 3, 5], [0, 1])
    await store.move_floors((hour + 2) * HOUR_US, 0)
    await purge_all(store)
    assert await left() == ([2, 3, 5], [1])
    await store.erase(Filter(since_us=(hour + 3) * HOUR_US))
    assert await left() == ([2], [1])
    await store.erase(Filter())
    assert await left() == ([], [])


async def test_an_hour_is_folded_when_nobody_adds_to_it(
    store: PostgresStorage, other: "Other[asyncpg.Record]"
) -> None:
    """Another sidecar that adds to rollups is not waited for: a later batch folds the hour."""
    hour = START_US // HOUR_US

    async def commit(number: int) -> list[int]:
        await store.commit(make_batch(make_record(started_at_us=(hour + number) * HOUR_US)))
        days = await other.fetch("SELECT exchanges FROM sidelog.rollups_daily ORDER BY day")
        return [row[0] for row in days]

    assert sum(await commit(0)) == 0
    async with other.transaction():
        await other.execute("SELECT until_hour FROM sidelog.folded FOR SHARE")
        assert sum(await commit(2)) == 0
        assert await store.read(CountQuery(Filter())) == Count(2, 0)

    assert sum(await commit(2)) == 1
    assert await store.read(CountQuery(Filter())) == Count(3, 0)
