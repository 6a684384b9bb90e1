"""Repeated text goes when nothing can use it any more, and no earlier."""

import contextlib
import sqlite3
from functools import partial
from pathlib import Path

import pytest

from storage.purge import KEPT_ROWS
from storage.query import CountQuery, Filter, RecordQuery
from storage.record import now_us
from storage.relational.time_ranges import DAY_US, HOUR_US
from storage.relational.writes import remembered
from storage.sqlite import dictionary
from storage.sqlite.session import SqliteStatements
from storage.sqlite.store import SqliteStorage
from tests.storage.samples import make_batch, make_record
from tests.support.filters import make_filter


def hosts(path: Path) -> set[str]:
    """Read which hosts the dictionary has."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return {
            value
            for (value,) in connection.execute(
                "SELECT value FROM dictionary WHERE value LIKE '%.example'"
            )
        }


async def purge(store: SqliteStorage, floor_us: int) -> None:
    """Delete everything below a floor."""
    await store.move_floors(floor_us // HOUR_US * HOUR_US, 0)
    while not (await store.purge(1)).is_done:
        pass


async def trim(store: SqliteStorage, rows: int) -> None:
    """Take so many rows as the cap on size does."""
    while rows:
        rows -= (await store.trim(rows)).rows


def date_back(connection: sqlite3.Connection, host: str, day: int) -> None:
    """Let a host have been looked up last on a day."""
    with connection:
        connection.execute("UPDATE dictionary SET used_day = ? WHERE value = ?", (day, host))


async def test_text_is_deleted_with_the_last_day_that_used_it(tmp_path: Path) -> None:
    """What a later day looked up again stays; what went comes back under another id, and every row
    can be read.
    """
    path = tmp_path / "records.db"
    now = now_us()
    async with await SqliteStorage.open(path, durability="fast") as store:
        await store.commit(
            make_batch(*(make_record(started_at_us=now, host=f"{name}.example") for name in "abc"))
        )
        later = now + 3 * DAY_US
        await store.commit(make_batch(make_record(started_at_us=later, host="b.example")))
        await purge(store, now)
        assert hosts(path) == {"a.example", "b.example", "c.example"}
        await purge(store, now + 2 * DAY_US)
        assert hosts(path) == {"b.example"}
        await store.commit(
            make_batch(*(make_record(started_at_us=later, host=f"{name}.example") for name in "ab"))
        )
        page = await store.read(RecordQuery(filter=Filter(), limit=10, order="asc"))
        assert [record.host for record in page.records] == ["b.example", "a.example", "b.example"]
        assert (await store.read(CountQuery(make_filter(hosts=("a.example",))))).exchanges == 1


async def test_a_record_of_the_past_keeps_what_today_uses(tmp_path: Path) -> None:
    """Text is kept for as long as rows of the day of its commit are, whenever the record itself
    started.
    """
    path = tmp_path / "records.db"
    now = now_us()
    async with await SqliteStorage.open(path, durability="fast") as store:
        await store.commit(
            make_batch(make_record(started_at_us=now - 9 * DAY_US, host="a.example"))
        )
        await store.commit(make_batch(make_record(started_at_us=now, host="a.example")))
        await purge(store, now - DAY_US)
        assert hosts(path) == {"a.example"}
        assert (await store.read(CountQuery(make_filter(hosts=("a.example",))))).exchanges == 1


async def test_text_goes_with_the_rows_that_the_cap_took(tmp_path: Path) -> None:
    """Without a limit of age: by the day of the oldest row that is left."""
    path = tmp_path / "records.db"
    now = now_us()
    async with await SqliteStorage.open(path, durability="fast") as store:
        for days, host in ((9, "a.example"), (4, "b.example"), (1, "c.example"), (0, "d.example")):
            records = [
                make_record(started_at_us=now - days * DAY_US, host=host) for _ in range(KEPT_ROWS)
            ]
            await store.commit(make_batch(*records))
            # As if it had been stored on the day that it started.
            await store._writer.run(
                partial(date_back, host=host, day=(now - days * DAY_US) // DAY_US)
            )

        await purge(store, 0)
        assert hosts(path) == {f"{name}.example" for name in "abcd"}
        await trim(store, 2 * KEPT_ROWS)
        await purge(store, 0)
        assert hosts(path) == {"c.example", "d.example"}


async def test_what_is_remembered_is_bounded_in_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client may send a User-Agent of 8 KiB, another one with each request: fifty thousand of
    them were 400 MB.
    """
    monkeypatch.setattr(dictionary, "MAX_REMEMBERED_BYTES", 50_000)
    monkeypatch.setattr(remembered, "MAX_REMEMBERED_BYTES", 50_000)
    path = tmp_path / "records.db"
    agents = [f"{number} {'x' * 8000}" for number in range(20)]
    async with await SqliteStorage.open(path, durability="fast") as store:
        await store.commit(make_batch(make_record()))
    ids = dictionary.Dictionary()
    names = remembered.Names()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        numbers = [ids.id_of(connection, "user_agent", agent) for agent in agents]
        assert 0 < sum(len(text) for _, text in ids._ids) < 60_000
        assert [ids.id_of(connection, "user_agent", agent) for agent in agents] == numbers
        session = SqliteStatements(connection)
        assert set((await names.load(session, numbers)).values()) == {None, *agents}
        assert not names._texts
        assert set((await names.load(session, numbers[:3])).values()) == {None, *agents[:3]}
        assert len(names._texts) == 3


async def test_records_with_long_texts_are_stored_as_others_are(tmp_path: Path) -> None:
    """What is too long to be remembered is looked up again."""
    odd = [
        make_record(method=method * 100, user_agent="agent " * 400) for method in ("A", "B", "A")
    ]
    async with await SqliteStorage.open(tmp_path / "records.db", durability="fast") as store:
        await store.commit(make_batch(*odd))
        page = await store.read(RecordQuery(filter=Filter(), limit=10, order="asc"))
        assert [record.method for record in page.records] == ["A" * 100, "B" * 100, "A" * 100]
        assert {record.user_agent for record in page.records} == {"agent " * 400}
