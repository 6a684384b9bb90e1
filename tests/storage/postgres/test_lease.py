"""One instance name, one sidecar at a time: the second is refused until the first is gone or
silent.
"""

import time
from pathlib import Path

import asyncpg
import pytest

from storage.backends import open_storage
from storage.errors import StorageUnavailable
from storage.postgres.lease import Lease
from storage.postgres.store import PostgresStorage
from storage.record import Batch, Entry
from tests.storage.samples import make_record
from tests.support import postgres
from tests.support.leases import Open, opens_as_one

AGE = "UPDATE sidelog.leases SET renewed_at = renewed_at - interval '1 hour'"


@pytest.fixture
async def url(tmp_path: Path) -> str:
    """A database."""
    return await postgres.database(tmp_path)


@pytest.fixture
def opened(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open the store as the sidecar `one` of a data directory."""
    monkeypatch.setattr(Lease, "renew_s", 0.0)
    monkeypatch.setattr("storage.postgres.store._RELEASE_S", 60.0)
    return opens_as_one(url, tmp_path)


async def execute(url: str, sql: str) -> None:
    """Change the leases behind everybody's back."""
    connection = await asyncpg.connect(url)
    await connection.execute(sql)
    await connection.close()


async def test_a_second_of_the_same_name_is_refused(opened: Open, url: str, tmp_path: Path) -> None:
    """With what to do about it; another name, a reader, and the same sidecar after a kill are
    welcome.
    """
    async with await opened("a"):
        with pytest.raises(
            StorageUnavailable, match="another sidelog writes to this database as instance 'one'"
        ):
            await opened("b")

        async with await open_storage(url, tmp_path, instance="two", holder="b"):
            pass
        async with await open_storage(url, tmp_path, is_read_only=True):
            pass
        async with await opened("a"):
            pass


async def test_the_name_is_free_when_its_holder_has_closed(opened: Open) -> None:
    """At once: a replacement does not wait."""
    async with await opened("a"):
        pass
    async with await opened("b") as second:
        await second.commit(Batch("one", [Entry(make_record())]))
        assert await second.last_seq() == 1


async def test_who_was_silent_for_long_has_lost_its_name(opened: Open, url: str) -> None:
    """It commits nothing any more, and says why; it goes on when the other is gone."""
    async with await opened("a") as first:
        await first.commit(Batch("one", [Entry(make_record())]))
        await execute(url, AGE)
        async with await opened("b") as second:
            await second.commit(Batch("one", [Entry(make_record())]))
            with pytest.raises(StorageUnavailable, match="another sidelog"):
                await first.is_in_place()
            with pytest.raises(StorageUnavailable, match="another sidelog"):
                await first.commit(Batch("one", [Entry(make_record())]))
            assert await second.is_in_place()

        assert await first.is_in_place()
        assert await first.commit(Batch("one", [Entry(make_record())])) == 3


async def test_who_was_stopped_for_long_asks_before_it_commits(
    opened: Open, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has renewed its name by then, and another may have taken it."""
    async with await opened("a") as first:
        assert isinstance(first, PostgresStorage)
        await execute(url, AGE)
        async with await opened("b"):
            monkeypatch.setattr(first._lease, "_clock", lambda: time.monotonic() + Lease.expires_s)
            with pytest.raises(StorageUnavailable, match="another sidelog"):
                await first.commit(Batch("one", [Entry(make_record())]))
            assert await first.last_seq() == 0

        assert await first.commit(Batch("one", [Entry(make_record())])) == 1


async def test_machines_that_share_a_data_directory_are_told(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """Not for one that hands over to its successor; for two that both go on."""
    async with await opened("a") as first, await opened("a") as second:
        await first.is_in_place()
        assert "another machine uses this data directory" not in caplog.text
        for _ in range(3):
            await second.is_in_place()
            await first.is_in_place()
        assert "another machine uses this data directory" in caplog.text


class Named(Lease):
    """Taken by a word."""

    async def renew(self) -> None:
        """Hold it, unless another does."""
        if not self.is_lost:
            self._renewed_at_s = self._clock()


async def test_a_name_is_asked_for_again_after_a_silence() -> None:
    """Before anything is committed; while it is young nobody asks, and when it is lost nothing is."""
    now_s = 100.0
    lease = Named("one", "holder", lambda: now_s)
    assert (lease.is_due, lease.may_be_lost) == (True, True)
    await lease.confirm(lease.renew)
    assert (lease.is_due, lease.may_be_lost) == (False, False)
    now_s += 5
    assert (lease.is_due, lease.may_be_lost) == (True, False)
    now_s += 15
    assert lease.may_be_lost
    lease.is_lost = True
    with pytest.raises(StorageUnavailable, match="instance 'one'; give each its own name"):
        await lease.confirm(lease.renew)
    lease.is_lost = False
    await lease.confirm(lease.renew)
    assert not lease.is_due
