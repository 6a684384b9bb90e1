"""Every engine in turn, with an empty database: what `make test-clickhouse` asks, where a server is."""

from collections.abc import AsyncIterator

import pytest

from storage.clickhouse.link import Link
from tests.storage.clickhouse.links import WaywardLink
from tests.support.clickhouse import Server, server


@pytest.fixture(params=[pytest.param(each, marks=pytest.mark.clickhouse) for each in ("debian", "chdb")])
def engine(request: pytest.FixtureRequest) -> Server:
    """A running server of every engine in turn, shared by all tests."""
    return server(request.param)


@pytest.fixture
async def link(engine: Server) -> AsyncIterator[Link]:
    """A link to an empty database."""
    opened = Link(engine.address(engine.database()))
    yield opened
    await opened.close()


@pytest.fixture
async def wayward(link: Link) -> AsyncIterator[WaywardLink]:
    """A link to the same database whose commits go wrong."""
    opened = WaywardLink(link)
    yield opened
    await opened.close()
