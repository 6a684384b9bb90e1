"""The layout is brought up to date in steps that may be repeated, and a newer one is left alone."""

import asyncio
from pathlib import Path

import pytest

from storage.backends import open_storage
from storage.clickhouse import layout
from storage.clickhouse.link import Link
from storage.errors import SchemaTooNew, SchemaTooOld, StorageUnavailable
from tests.storage.samples import make_batch, make_record
from tests.support.clickhouse import Server


def url_of(link: Link) -> str:
    """The address of the database of a link, as settings have it."""
    (host,) = link.address.hosts
    return f"clickhouse://{host.partition('://')[2]}/{link.address.database}"


async def test_sidecars_that_start_together(link: Link) -> None:
    """Each finds the layout made, by whomever."""
    async with asyncio.TaskGroup() as group:
        opening = [group.create_task(layout.migrate(link)) for _ in range(4)]
    assert {task.result() for task in opening} == {layout.newest()}
    assert await layout.check_layout(link) == layout.newest()


async def test_only_missing_steps_are_taken(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step is taken once, where it is missing, and not at all in a new database."""
    taken: list[str] = []

    async def one(link: Link) -> None:
        taken.append("one")

    async def two(link: Link) -> None:
        taken.append("two")

    monkeypatch.setattr(layout, "STEPS", ())
    await layout.migrate(link)
    monkeypatch.setattr(layout, "STEPS", (one, two))
    with pytest.raises(SchemaTooOld, match="layout 1, this one reads 3"):
        await layout.check_layout(link)
    assert await layout.migrate(link) == 3
    assert await layout.migrate(link) == 3
    assert taken == ["one", "two"]
    assert await layout.check_layout(link) == 3


async def test_a_new_database_needs_no_step(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tables are made as they are in the newest layout."""

    async def never(link: Link) -> None:
        raise AssertionError("a step was taken")

    monkeypatch.setattr(layout, "STEPS", (never,))
    assert await layout.migrate(link) == 2
    assert await layout.check_layout(link) == 2


async def test_a_step_that_fails_is_taken_again(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layout is noted when its step is whole."""
    outcomes = [StorageUnavailable("away"), None]

    async def step(link: Link) -> None:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    monkeypatch.setattr(layout, "STEPS", ())
    await layout.migrate(link)
    monkeypatch.setattr(layout, "STEPS", (step,))
    with pytest.raises(StorageUnavailable, match="away"):
        await layout.migrate(link)
    assert await layout.read_layout(link) == 1
    assert await layout.migrate(link) == 2
    assert outcomes == []


async def test_a_newer_database_is_left_alone(link: Link, engine: Server, tmp_path: Path) -> None:
    """It is refused in one line, for reading too, and nothing in it is made."""
    tables = f"SELECT count() FROM system.tables WHERE database = '{link.address.database}'"
    await link.execute("CREATE TABLE layout_99 (done UInt8) ENGINE = TinyLog", limit_s=30)
    for is_read_only in (False, True):
        with pytest.raises(SchemaTooNew, match=r"layout 99, this one supports up to .*upgrade sidelog"):
            await open_storage(url_of(link), tmp_path, is_read_only=is_read_only)
    assert engine.ask(tables) == "1\n"


async def test_a_journal_that_is_gone_is_not_made_anew(link: Link, tmp_path: Path) -> None:
    """An empty one would hide all rows, and be in the way of the one that was moved."""
    url = url_of(link)
    async with await open_storage(url, tmp_path) as store:
        await store.commit(make_batch(make_record()))
    await link.execute("RENAME TABLE commits TO elsewhere", limit_s=30)
    with pytest.raises(StorageUnavailable, match="the table commits is gone"):
        await open_storage(url, tmp_path)
    await link.execute("RENAME TABLE elsewhere TO commits", limit_s=30)
    async with await open_storage(url, tmp_path) as store:
        assert await store.last_seq() == 1
