"""A store that comes later: refused until it is admitted, opened for as long as it takes."""

import asyncio

import pytest

from storage.base import Storage
from storage.errors import StorageMisconfigured, StorageRejected, StorageUnavailable
from storage.record import Batch
from storage.tools import ToolStorage
from storage.writer.deferred import DeferredStorage
from tests.support.memory_store import MemoryStorage


class Opening:
    """Fails some times."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.store = MemoryStorage()

    async def __call__(self) -> Storage:
        """Fail, or open."""
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        return self.store


async def test_it_is_opened_in_the_end_and_used_when_it_is_enabled(caplog: pytest.LogCaptureFixture) -> None:
    """Until then every call says why it is away; the same reason is logged once."""
    opening = Opening(*[StorageUnavailable("refused") for _ in range(4)], StorageUnavailable("starting up"))
    deferred = DeferredStorage(opening, retry_s=0.0)
    storage = deferred.as_storage()
    with pytest.raises(StorageUnavailable, match="not answered yet"):
        await storage.last_seq()
    await deferred.open()
    assert await deferred.first_attempt(0.0)
    with pytest.raises(StorageUnavailable, match="starting up"):
        await storage.commit(Batch("sidecar-1", []))
    assert await deferred.opened() is opening.store
    deferred.enable()
    assert await storage.last_seq() == 0
    assert isinstance(storage, ToolStorage)
    assert await storage.tool_calls_of(1) == []
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "the store is unavailable, retrying every 0 s",
        "the store is unavailable, retrying every 0 s",
        "the store is available now",
    ]
    await deferred.close()


async def test_the_first_look_is_bounded() -> None:
    """A store that neither answers nor refuses does not hold up the start."""

    async def hang() -> Storage:
        await asyncio.Event().wait()
        raise AssertionError

    deferred = DeferredStorage(hang)
    async with asyncio.TaskGroup() as tasks:
        opening = tasks.create_task(deferred.open())
        assert not await deferred.first_attempt(0.01)
        opening.cancel()
    await deferred.close()


async def test_an_address_that_is_refused_is_not_tried_again() -> None:
    """It is the configuration's fault."""
    with pytest.raises(StorageMisconfigured, match="port"):
        await DeferredStorage(Opening(StorageRejected("port"))).open()
