"""Repeated text goes when nothing can use it any more, and no earlier."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from storage.query import CountQuery, Filter, RecordQuery
from storage.record import now_us
from storage.relational.time_ranges import DAY_US, HOUR_US
from storage.relational.writes import dictionary as writes
from storage.relational.writes import remembered
from storage.sqlite.dictionary import Dictionary
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


async def test_text_is_deleted_with_the_last_day_that_used_it(
    store: SqliteStorage, path: Path
) -> None:
    """What a later day looked up again stays; what went comes back under another id, and every row
    can be read.
    """
    now = now_us()
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


async def test_what_is_remembered_is_bounded_in_bytes(
    store: SqliteStorage, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client may send a User-Agent of 8 KiB, another one with each request: fifty thousand of
    them were 400 MB.
    """
    monkeypatch.setattr(writes, "MAX_REMEMBERED_BYTES", 50_000)
    monkeypatch.setattr(remembered, "MAX_REMEMBERED_BYTES", 50_000)
    agents = [f"{number} {'x' * 8000}" for number in range(20)]
    await store.commit(make_batch(make_record()))
    names = remembered.Names()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        dictionary = Dictionary(connection)
        dictionary.begin(1)
        numbers = [dictionary.ids["user_agent"][agent] for agent in agents[:3]]
        dictionary.begin(1)
        assert set(dictionary.ids["user_agent"]) == {None, *agents[:3]}
        numbers += [dictionary.ids["user_agent"][agent] for agent in agents[3:]]
        assert set(dictionary.ids["user_agent"]) == {None, *agents}
        dictionary.begin(1)
        assert set(dictionary.ids["user_agent"]) == {None}
        assert [dictionary.ids["user_agent"][agent] for agent in agents] == numbers
        session = SqliteStatements(connection)
        assert set((await names.load(session, numbers)).values()) == {None, *agents}
        assert not names._texts
        assert set((await names.load(session, numbers[:3])).values()) == {None, *agents[:3]}
        assert len(names._texts) == 3
