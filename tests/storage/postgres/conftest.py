"""A Postgres database for each test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import pytest

from storage.backends import open_storage
from storage.postgres.store import PostgresStorage
from tests.support import postgres


@asynccontextmanager
async def opened(url: str, directory: Path) -> AsyncIterator[PostgresStorage]:
    """Open a store that does not wait for the disk."""
    store = await open_storage(url, directory, durability="fast")
    assert isinstance(store, PostgresStorage)
    async with store:
        yield store


@pytest.fixture
async def url(tmp_path: Path) -> str:
    """Where an empty store of this test is."""
    return await postgres.database(tmp_path)


@pytest.fixture
async def store(url: str, tmp_path: Path) -> AsyncIterator[PostgresStorage]:
    """An empty store."""
    async with opened(url, tmp_path) as made:
        yield made


@pytest.fixture
async def other(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Somebody else's connection to the same database."""
    connection = await asyncpg.connect(url)
    yield connection
    with suppress(OSError):  # the server may have ended it, and said so or not yet
        await connection.close()


@pytest.fixture
async def second(
    url: str, store: PostgresStorage, tmp_path: Path
) -> AsyncIterator[PostgresStorage]:
    """The store of another sidecar."""
    async with opened(url, tmp_path) as made:
        yield made
