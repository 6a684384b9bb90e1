"""Every engine in turn, with an empty database."""

from collections.abc import AsyncIterator

import pytest

from storage.clickhouse.link import Link
from tests.support.clickhouse import ENGINES, Server, server


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Server:
    """A running server of every engine in turn, shared by all tests."""
    return server(request.param)


@pytest.fixture
async def link(engine: Server) -> AsyncIterator[Link]:
    """A link to an empty database."""
    opened = Link(engine.address(engine.database()))
    yield opened
    await opened.close()
