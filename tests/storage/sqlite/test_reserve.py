"""A disk that is full: the store is opened and read, and what is deleted makes room for batches."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from storage.errors import StorageUnavailable
from storage.purge import Erased
from storage.query import CountQuery, Filter
from storage.record import Batch, Entry, Payload
from storage.sqlite.reserve import SUFFIX, Reserve
from storage.sqlite.store import SqliteStorage
from storage.writer.size_cap import SizeCap
from tests.contract.listing import ALL
from tests.storage.samples import make_body, make_record
from tests.support.disks import small_disk

BODY_BYTES = 100_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 32 MiB."""
    with small_disk(tmp_path / "disk", "32m"):
        yield tmp_path / "disk"


@asynccontextmanager
async def opened(disk: Path) -> AsyncIterator[SqliteStorage]:
    """The store on it, as a collector opens it."""
    async with await SqliteStorage.open(
        disk / "records.db", max_bytes=1 << 30, has_reserve=True
    ) as store:
        yield store


def batch() -> Batch:
    """Ten records with bodies of their own."""
    entries = [
        Entry(make_record(), Payload(b"", b"", None, make_body(os.urandom(BODY_BYTES))))
        for _ in range(10)
    ]
    return Batch("sidecar-1", entries)


async def fill(store: SqliteStorage) -> int:
    """Store batches until there is no room; return how many records there are."""
    count = 0
    while True:
        try:
            await store.commit(batch())
        except StorageUnavailable:
            return count
        count += 10


def fill_up(disk: Path) -> None:
    """Have another program take what is left, to the last page."""
    with (disk / "other").open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


async def exchanges(store: SqliteStorage) -> int:
    """Count the records."""
    return (await store.read(CountQuery(ALL))).exchanges


async def test_a_store_on_a_full_disk_is_opened_and_read(disk: Path) -> None:
    """Batches are refused, with the reason, and none uses what deleting will need."""
    async with opened(disk) as store:
        count = await fill(store)
    fill_up(disk)
    for _ in range(2):
        async with opened(disk) as store:
            fill_up(disk)
            assert await exchanges(store) == count
            with pytest.raises(StorageUnavailable):
                await store.commit(batch())
            assert await exchanges(store) == count


async def test_a_cap_makes_room_on_a_full_disk(disk: Path) -> None:
    """One that was lowered to half of what there is: the oldest go, and batches are stored again."""
    async with opened(disk) as store:
        count = await fill(store)
    fill_up(disk)
    async with opened(disk) as store:
        cap = SizeCap(store, count * BODY_BYTES // 2)
        await cap.tidy()
        left = await exchanges(store)
        assert 0 < left < count
        for _ in range(20):
            try:
                await store.commit(batch())
                break
            except StorageUnavailable:
                continue
        assert await exchanges(store) == left + 10
        assert (disk / f"records{SUFFIX}").exists()


async def test_an_erasure_finds_room_on_a_full_disk(disk: Path) -> None:
    """What has to go for good goes, however full the disk is."""
    async with opened(disk) as store:
        count = await fill(store)
        fill_up(disk)
        erased = await store.erase(Filter(kind="all"))
        assert isinstance(erased, Erased)
        assert count
        assert await exchanges(store) == 0
        await store.commit(batch())


def test_a_disk_that_has_no_room_for_it_is_full(disk: Path) -> None:
    """Nothing is left of the attempt; with room it is there."""
    fill_up(disk)
    reserve = Reserve(disk / "records.db", 0)
    reserve.take()
    assert reserve.is_given_up
    assert [path.name for path in disk.iterdir()] == ["other"]
    (disk / "other").unlink()
    reserve.take()
    assert not reserve.is_given_up
    assert reserve.give_up()
    assert not reserve.give_up()
