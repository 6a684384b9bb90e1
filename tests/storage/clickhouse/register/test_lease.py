"""One instance name, one sidecar at a time: the second is refused until the first is gone or silent."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from storage.backends import open_storage
from storage.base import Storage
from storage.clickhouse.link import LIMIT_S, Link
from storage.clickhouse.register.lease import Lease
from storage.errors import StorageUnavailable
from storage.record import Batch, Entry
from tests.storage.samples import make_record
from tests.support.clickhouse import Server
from tests.support.leases import Open, opens_as_one

REFUSED = "another sidelog writes to this database as instance 'one'"


def batch() -> Batch:
    """A record of the instance."""
    return Batch("one", [Entry(make_record())])


@pytest.fixture
def url(engine: Server) -> str:
    """Where an empty store is."""
    return engine.url(engine.database())


@pytest.fixture
def opened(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open the store as the sidecar `one` of a data directory."""
    monkeypatch.setattr(Lease, "renew_s", 0.0)
    return opens_as_one(url, tmp_path)


async def forget_marks(store: Storage) -> None:
    """As if all had been silent for long."""
    link = store._link  # type: ignore[attr-defined]
    assert isinstance(link, Link)
    await link.execute("TRUNCATE TABLE register_marks", limit_s=LIMIT_S)


async def test_a_second_of_the_same_name_is_refused(opened: Open, url: str, tmp_path: Path) -> None:
    """With what to do about it; another name, a reader, and the same sidecar after a kill are welcome."""
    async with await opened("b"):
        for other in "ac":
            with pytest.raises(StorageUnavailable, match=REFUSED):
                await opened(other)
        async with await open_storage(url, tmp_path, instance="two", holder="a"):
            pass
        async with await open_storage(url, tmp_path, is_read_only=True):
            pass
        async with await opened("b") as again:
            assert await again.commit(batch()) == 1


async def test_the_name_is_free_when_its_holder_has_closed(opened: Open) -> None:
    """At once, and again and again within the same second: a replacement does not wait."""
    for number, holder in enumerate("abab", 1):
        async with await opened(holder) as store:
            assert await store.commit(batch()) == number
            with pytest.raises(StorageUnavailable, match=REFUSED):
                await opened("x")


async def test_who_was_silent_for_long_has_lost_its_name(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """It commits nothing any more, and says why; it goes on when the other is gone."""
    async with await opened("a") as first:
        assert await first.commit(batch()) == 1
        await forget_marks(first)
        async with await opened("b") as second:
            monkeypatch.setattr(first._lease, "_renewed_at_s", None)  # type: ignore[attr-defined]
            with pytest.raises(StorageUnavailable, match=REFUSED):
                await first.commit(batch())
            with pytest.raises(StorageUnavailable, match=REFUSED):
                await first.is_in_place()
            assert await second.is_in_place()
            assert await second.commit(batch()) == 2
        assert await first.is_in_place()
        assert await first.commit(batch()) == 3


async def test_of_two_that_begin_at_once_one_has_the_name(opened: Open) -> None:
    """Neither saw the other's mark before it made its own."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(await opened("b"))
        await forget_marks(first)
        second = await stack.enter_async_context(await opened("a"))
        assert await second.is_in_place()
        with pytest.raises(StorageUnavailable, match=REFUSED):
            await first.is_in_place()
        with pytest.raises(StorageUnavailable, match=REFUSED):
            await first.commit(batch())
        assert await second.commit(batch()) == 1
