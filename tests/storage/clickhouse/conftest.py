"""Every engine in turn, with an empty database: what `make test-clickhouse` asks, where a server
is.
"""

from collections.abc import AsyncIterator

import pytest

from storage.clickhouse.engine.server import Server as Features
from storage.clickhouse.engine.version import read_server
from storage.clickhouse.tables import make_tables
from storage.clickhouse.wire.link import Link
from tests.support.clickhouse import Server, server

DELAY_MS = 500
"""How late an insert may be, where a test does not say otherwise."""


@pytest.fixture(
    params=[pytest.param(each, marks=pytest.mark.clickhouse) for each in ("debian", "chdb")]
)
def engine(request: pytest.FixtureRequest) -> Server:
    """A running server of every engine in turn, shared by all tests."""
    return server(request.param)


@pytest.fixture(params=[pytest.param("chdb", marks=pytest.mark.clickhouse)])
def current(request: pytest.FixtureRequest) -> Server:
    """The current engine, for what the old one has not."""
    return server(request.param)


@pytest.fixture
async def link(engine: Server) -> AsyncIterator[Link]:
    """A link to an empty database."""
    opened = Link(engine.address(engine.database()))
    yield opened
    await opened.close()


@pytest.fixture
async def features(link: Link) -> Features:
    """What the engine can do, the tables made."""
    found = await read_server(link)
    await make_tables(link, found, DELAY_MS)
    return found
