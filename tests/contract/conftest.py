"""An empty store of every backend in turn."""

import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.base import Storage
from storage.clickhouse.wire import link
from storage.relational.reads import aggregate, facets
from tests.contract.backends import USUAL, Backend


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few records are told exactly, and servers are waited for, however busy the machine is."""
    monkeypatch.setattr(aggregate, "_FIND_S", 60.0)
    monkeypatch.setattr(facets, "_SAMPLE_S", 60.0)
    monkeypatch.setattr(link, "CONNECT_S", 60.0)


@pytest.fixture(params=USUAL, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Every backend in turn."""
    chosen: Backend = request.param
    return chosen


@pytest.fixture
async def store(backend: Backend, tmp_path: Path) -> AsyncIterator[Storage]:
    """An empty store; nothing of it is left running."""
    before = own_threads()
    async with await backend.open(tmp_path) as opened:
        yield opened
    assert own_threads() <= before  # some of another test may have been about to end


def own_threads() -> set[threading.Thread]:
    """The threads that run, without those the loop keeps for whoever needs one."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}
