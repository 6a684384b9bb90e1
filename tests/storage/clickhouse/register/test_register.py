"""The register: of those who change an entry at the same time each sees what the one before left."""

import asyncio

import pytest

from storage.clickhouse.engine.server import Server
from storage.clickhouse.engine.version import read_server
from storage.clickhouse.register.register import Register
from storage.clickhouse.tables import make_tables
from storage.clickhouse.wire.link import Link
from storage.errors import StorageUnavailable
from tests.storage.clickhouse.conftest import DELAY_MS
from tests.support.clickhouse import Server as Engine


async def test_changes_at_the_same_time_are_made_one_after_the_other(
    link: Link, features: Server
) -> None:
    """None is lost and none is made twice."""

    async def count(register: Register) -> None:
        for _ in range(5):
            await register.change("n", lambda before: (str(int(before or 0) + 1), None))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(count(Register(link, features)), name="count")
    assert await Register(link, features).entry("n") == (20, "20")


async def test_entries_are_read_by_what_their_names_begin_with(
    link: Link, features: Server
) -> None:
    """Gone ones have no value; of uses the greatest counts."""
    register = Register(link, features)
    for name, value in (("a/1", "x"), ("a/2", "y"), ("b/1", "z")):
        await register.change(name, lambda before, value=value: (value, None))  # type: ignore[misc]
    await register.change("a/2", lambda before: ("", None))
    await register.note_uses({"a/3": 7})
    await register.note_uses({"a/3": 5})
    assert await register.entries("a/") == {"1": (1, "x"), "2": (2, ""), "3": (7, "")}


async def test_a_server_that_ignores_tokens_is_not_written_to(current: Engine) -> None:
    """A row is inserted twice with one token at the first opening; here the table forgets tokens."""
    link = Link(current.address(current.database()))
    features = await read_server(link)
    await make_tables(link, features, DELAY_MS)
    await Register(link, features).check_tokens()
    await Register(link, features).check_tokens()
    name = "tokens/" + ".".join(map(str, features.version))
    assert (await Register(link, features).entry(name)).version == 1
    await link.execute("TRUNCATE TABLE register")
    await link.execute(
        "ALTER TABLE register MODIFY SETTING non_replicated_deduplication_window = 0"
    )
    for _ in range(2):
        with pytest.raises(StorageUnavailable, match="insert_deduplication_token"):
            await Register(link, features).check_tokens()
    await link.close()
