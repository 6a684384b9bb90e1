"""A trace is found by its id, whatever else has the same hash, and in rows of before the hash was kept."""

import asyncio

import pytest

from storage.clickhouse import layout
from storage.clickhouse.link import Link
from storage.clickhouse.reads import selection
from storage.clickhouse.store import ClickhouseStorage
from storage.query import Count, Filter, RecordQuery
from storage.record import Batch, Entry
from tests.storage.samples import make_record

_IDS = ("0af7651916cd43dd8448eb211c80319c", None, "0af7651916cd43dd8448eb211c80319d", "", "Trace 'ä'\\")


async def fill(store: ClickhouseStorage) -> None:
    """Commit two records of each id."""
    await store.commit(Batch("a", [Entry(make_record(trace_id=trace_id)) for trace_id in _IDS * 2]))


async def found(store: ClickhouseStorage, trace_id: str) -> list[int]:
    """List a trace, oldest first, by both orders there are."""
    pages = [
        await store.select(RecordQuery(filter=Filter(trace_id=trace_id), order="asc", by=by)) for by in ("seq", "id")
    ]
    by_seq, by_id = ([record.seq for record in page.records] for page in pages)
    assert by_seq == by_id
    return by_seq


async def test_records_of_a_trace(link: Link) -> None:
    """And no others; an empty id is one, too."""
    async with await ClickhouseStorage.open(link.address) as store:
        await fill(store)
        for place, trace_id in enumerate(_IDS):
            if trace_id is not None:
                assert await found(store, trace_id) == [place + 1, place + 1 + len(_IDS)]
                assert await store.count(Filter(trace_id=trace_id)) == Count(2, 0)
        assert await found(store, "another") == []


async def test_the_hash_is_that_of_the_id(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows with another one are not looked at."""
    async with await ClickhouseStorage.open(link.address) as store:
        await fill(store)
        assert len(await found(store, "Trace 'ä'\\")) == 2
        monkeypatch.setattr(selection, "hash_of", lambda text: f"toUInt32(length({text}))")
        assert await found(store, "Trace 'ä'\\") == []


async def test_rows_of_the_layout_before(link: Link) -> None:
    """They have their hash once the layout is brought up to date, by however many at once."""
    async with await ClickhouseStorage.open(link.address) as store:
        await fill(store)
    await link.execute("ALTER TABLE records DROP COLUMN trace_hash", limit_s=30)
    await link.execute(f"DROP TABLE layout_{layout.newest()}", limit_s=30)
    await link.execute("CREATE TABLE layout_2 (done UInt8) ENGINE = TinyLog", limit_s=30)
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(layout.migrate(link))
    async with await ClickhouseStorage.open(link.address) as store:
        assert await layout.read_layout(link) == layout.newest()
        assert await found(store, _IDS[0] or "") == [1, 1 + len(_IDS)]
        await fill(store)
        assert len(await found(store, _IDS[0] or "")) == 4
