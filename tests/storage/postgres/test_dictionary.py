"""Repeated text goes when nothing can use it any more, also while another sidecar remembers it."""

import asyncpg

from storage.base import Storage
from storage.postgres.store import PostgresStorage
from storage.purge import KEPT_ROWS
from storage.query import CountQuery, Filter, RecordQuery
from storage.record import now_us
from storage.relational.time_ranges import DAY_US, HOUR_US
from tests.storage.samples import make_batch, make_record
from tests.support.filters import make_filter


async def hosts(other: "asyncpg.Connection[asyncpg.Record]") -> set[str]:
    """Read which hosts the dictionary has."""
    rows = await other.fetch("SELECT value FROM sidelog.dictionary WHERE value LIKE '%.example'")
    return {value for (value,) in rows}


async def purge(store: Storage, floor_us: int) -> None:
    """Delete everything below a floor."""
    await store.move_floors(floor_us // HOUR_US * HOUR_US, 0)
    while not (await store.purge(1)).is_done:
        pass


async def trim(store: Storage, rows: int) -> None:
    """Take so many rows as the cap on size does."""
    while rows:
        rows -= (await store.trim(rows)).rows


async def test_text_goes_with_the_rows_that_the_cap_took(
    store: PostgresStorage, other: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Without a limit of age: by the day of the oldest row that is left."""
    now = now_us()
    date_back = "UPDATE sidelog.dictionary SET used_day = $1 WHERE value = $2"
    for days, host in ((9, "a.example"), (4, "b.example"), (1, "c.example"), (0, "d.example")):
        started_at_us = now - days * DAY_US
        await store.commit(
            make_batch(
                *(make_record(started_at_us=started_at_us, host=host) for _ in range(KEPT_ROWS))
            )
        )
        # As if it had been stored on the day that it started.
        await other.execute(date_back, started_at_us // DAY_US, host)

    await purge(store, 0)
    assert await hosts(other) == {f"{name}.example" for name in "abcd"}
    await trim(store, 2 * KEPT_ROWS)
    await purge(store, 0)
    assert await hosts(other) == {"c.example", "d.example"}


async def test_text_is_deleted_with_the_last_day_that_used_it(
    store: PostgresStorage, second: PostgresStorage, other: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """A sidecar that has looked it up on an earlier day looks it up again, so every row can be
    read.
    """
    now = now_us()
    later = now + 3 * DAY_US
    await second.commit(
        make_batch(*(make_record(started_at_us=now, host=f"{name}.example") for name in "abc"))
    )
    await store.commit(make_batch(make_record(started_at_us=later, host="b.example")))
    await purge(store, now)
    assert await hosts(other) == {"a.example", "b.example", "c.example"}
    await purge(store, now + 2 * DAY_US)
    assert await hosts(other) == {"b.example"}
    await second.commit(
        make_batch(*(make_record(started_at_us=later, host=f"{name}.example") for name in "ab"))
    )

    page = await store.read(RecordQuery(filter=Filter(), limit=10, order="asc"))
    assert [record.host for record in page.records] == ["b.example", "a.example", "b.example"]
    assert (await store.read(CountQuery(make_filter(hosts=("a.example",))))).exchanges == 1
