"""A Postgres database for each test."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from storage.backends import open_storage
from storage.postgres.store import PostgresStorage
from tests.support import postgres


@pytest.fixture
async def url(tmp_path: Path) -> str:
    """Where an empty store of this test is."""
    return await postgres.database(tmp_path)


@pytest.fixture
async def store(url: str, tmp_path: Path) -> AsyncIterator[PostgresStorage]:
    """An empty store."""
    opened = await open_storage(url, tmp_path, durability="fast")
    assert isinstance(opened, PostgresStorage)
    async with opened:
        yield opened


@pytest.fixture
async def other(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Somebody else's connection to the same database."""
    connection = await asyncpg.connect(url)
    yield connection
    with suppress(OSError):  # the server may have ended it, and said so or not yet
        await connection.close()
