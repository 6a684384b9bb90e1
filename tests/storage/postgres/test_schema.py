"""The layout is brought up to date in steps, each whole or not at all, by one sidecar at a time."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from storage.backends import open_storage
from storage.errors import SchemaTooNew, StorageUnavailable
from storage.postgres import schema
from tests.support import postgres


@pytest.fixture
async def empty(url: str) -> str:
    """A database that was never used."""
    connection = await asyncpg.connect(url)
    await connection.execute("DROP SCHEMA sidelog CASCADE")
    await connection.close()
    return url


async def test_sidecars_that_start_together_migrate_once(
    empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes first makes the layout, the others wait and find it."""
    monkeypatch.setattr(schema, "_LOCK_WAIT_MS", 50_000)
    async with asyncio.TaskGroup() as group:
        opening = [group.create_task(open_storage(empty, tmp_path)) for _ in range(4)]
    for task in opening:
        async with task.result() as store:
            assert (await store.info()).schema_version == len(schema.migrations())


async def test_only_missing_steps_are_applied(
    empty: str, monkeypatch: pytest.MonkeyPatch, other: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """A database of an older layout gets what is missing, once."""
    monkeypatch.setattr(schema, "migrations", lambda: ["CREATE TABLE sidelog.a (x integer)"])
    assert await schema.migrate(other) == 1
    more = ["CREATE TABLE sidelog.a (x integer)", "-- more\nCREATE TABLE sidelog.b (x integer);\n"]
    monkeypatch.setattr(schema, "migrations", lambda: more)
    assert await schema.migrate(other) == 2
    assert await schema.migrate(other) == 2
    assert await other.fetchval("SELECT to_regclass('sidelog.b')::text") == "sidelog.b"


async def test_a_step_may_take_longer_than_other_statements_of_its_role(
    empty: str, monkeypatch: pytest.MonkeyPatch, other: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Else a store whose role has a limit would never open."""
    await other.execute("SET statement_timeout = 300")
    monkeypatch.setattr(schema, "migrations", lambda: ["SELECT pg_sleep(0.5)"])
    assert await schema.migrate(other) == 1


async def test_a_step_that_fails_leaves_the_database_as_it_was(
    empty: str, monkeypatch: pytest.MonkeyPatch, other: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Nothing of a broken migration stays."""
    monkeypatch.setattr(schema, "migrations", lambda: ["CREATE TABLE sidelog.a (x integer)"] * 2)
    with pytest.raises(asyncpg.DuplicateTableError):
        await schema.migrate(other)
    assert await other.fetchval("SELECT to_regnamespace('sidelog')") is None


async def test_a_newer_database_is_left_alone(url: str, tmp_path: Path) -> None:
    """A database of a newer layout is refused and not changed."""
    connection = await asyncpg.connect(url)
    await connection.execute("INSERT INTO sidelog.migrations VALUES (99)")
    await connection.close()
    with pytest.raises(SchemaTooNew, match="99"):
        await open_storage(url, tmp_path)


async def test_text_of_another_encoding_is_refused(tmp_path: Path) -> None:
    """Only UTF-8 can hold all text."""
    admin = await asyncpg.connect(postgres.url("postgres"))
    await admin.execute(
        "CREATE DATABASE plain TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    try:
        with pytest.raises(StorageUnavailable, match="SQL_ASCII"):
            await open_storage(postgres.url("plain"), tmp_path)
    finally:
        await admin.execute("DROP DATABASE plain")
        await admin.close()
