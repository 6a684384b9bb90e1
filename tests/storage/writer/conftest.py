"""A ring, a writer and a spool for each test, over a store that misbehaves when it is told to."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.storage.writer.spool_rig import FickleStore, Rig


@pytest.fixture
async def store() -> AsyncIterator[FickleStore]:
    """An empty store."""
    async with FickleStore() as made:
        yield made


@pytest.fixture
def rig(store: FickleStore, tmp_path: Path) -> Rig:
    """What works over it."""
    return Rig(store, tmp_path)
