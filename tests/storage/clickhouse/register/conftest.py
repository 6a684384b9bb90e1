"""An empty register of every engine in turn."""

import pytest

from storage.clickhouse.link import Link
from storage.clickhouse.register.register import Register


@pytest.fixture
async def register(link: Link) -> Register:
    """An empty register."""
    made = Register(link)
    await made.create()
    return made
