"""Where the rows of a range of time are, what waits, and what is known of jobs."""

import pytest

from storage.clickhouse.numbers import number_at
from storage.clickhouse.reads import session
from storage.clickhouse.reads.session import ClickhouseSession
from storage.clickhouse.store import ClickhouseStorage
from storage.clickhouse.wire.link import Link
from storage.query import Filter, RecordQuery
from storage.record import Batch, Entry, Job, now_us
from storage.relational.by_id import id_ms
from storage.relational.facet_counts import KnownCounts
from storage.relational.slices import Range
from storage.relational.time_ranges import HOUR_US
from tests.contract.test_storage_tools import make_call
from tests.storage.samples import make_record


async def ends(link: Link, since_us: int | None, until_us: int | None) -> Range:
    begun = await ClickhouseSession.begin(link, KnownCounts(), 60.0)
    return await begun.seq_ends(since_us, until_us)


async def test_time_bounds_numbers(link: Link) -> None:
    """Records that started long before they were stored, or later than that, are among them."""
    now = now_us()
    starts = (now - 5 * HOUR_US, now - HOUR_US, now, now + 5 * HOUR_US)
    records = [make_record(started_at_us=start) for start in starts]

    async with await ClickhouseStorage.open(link.address) as store:
        assert (await ends(link, now, now + 1)).is_empty
        await store.commit(Batch("a", [Entry(record) for record in records]))
        oldest, older, new, ahead = (record.seq for record in records)
        assert await ends(link, None, None) == Range(oldest, ahead)
        assert await ends(link, None, now - 2 * HOUR_US) == Range(oldest, oldest)
        assert await ends(link, now - 2 * HOUR_US, now - HOUR_US + 1) == Range(oldest, older)
        assert await ends(link, now + HOUR_US, None) == Range(ahead, ahead)
        assert (await ends(link, now + 6 * HOUR_US, None)).is_empty
        assert number_at(now + HOUR_US) > new

        for since_us, until_us in (
            (None, now),
            (now - 2 * HOUR_US, now + 1),
            (now, None),
            (0, 1),
            (1 << 62, None),
        ):
            page = await store.read(
                RecordQuery(filter=Filter(since_us=since_us, until_us=until_us), order="asc")
            )
            expected = [
                record.seq
                for record in records
                if (since_us or 0) <= record.started_at_us < (until_us or 1 << 62)
            ]  # fmt: skip
            assert [record.seq for record in page.records] == expected


async def test_ids_are_between_milliseconds(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the oldest or the newest id is neither of the first row nor of the last."""
    monkeypatch.setattr(session, "_FEW", 1)
    records = [make_record() for _ in range(5)]
    milliseconds = [id_ms(record.id) for record in records]
    places = (2, 0, 4, 1, 3)

    async with await ClickhouseStorage.open(link.address) as store:
        for place in places:
            records[place].id = (milliseconds[0] + place).to_bytes(6, "big") + records[place].id[6:]
        await store.commit(Batch("a", [Entry(records[place]) for place in places]))
        begun = await ClickhouseSession.begin(link, KnownCounts(), 60.0)
        assert await begun.id_ends(await begun.seq_ends()) == Range(
            milliseconds[0], milliseconds[0] + 4
        )
        last = Range(records[1].seq, records[3].seq)
        assert await begun.id_ends(last) == Range(milliseconds[0] + 1, milliseconds[0] + 3)
        page = await store.read(RecordQuery(by="id", order="asc"))
        assert [record.id for record in page.records] == [record.id for record in records]


async def test_calls_wait_until_they_end(link: Link) -> None:
    """Of their own sidecar, the oldest first."""
    first = make_record()
    second = make_record()
    ended = make_call(record_id=first.id, position=0, status="processing")
    waiting = make_call(record_id=first.id, position=1, status="processing")
    other = make_call(record_id=second.id, position=0, status="processing")

    async with await ClickhouseStorage.open(link.address) as store:
        await store.commit(Batch("a", [Entry(first, None, [ended, waiting])]))
        second.instance = "b"
        await store.commit(Batch("b", [Entry(second, None, [other])]))
        assert [call.position for call in await store.waiting_calls(first.instance)] == [0, 1]
        end = make_record()
        await store.commit(
            Batch("a", [Entry(end, None, [make_call(record_id=first.id, position=0)])])
        )
        assert [call.position for call in await store.waiting_calls(first.instance)] == [1]
        assert [call.record_id for call in await store.waiting_calls("b")] == [second.id]


async def test_parts_of_a_job_are_put_together(link: Link) -> None:
    """The earliest beginning, and the first count, whichever came first."""
    jobs = (
        Job(b"1" * 16, b"c" * 16, 9, b"c" * 16),
        Job(b"1" * 16, b"b" * 16, 5),
        Job(b"2" * 16, b"b" * 16, 7),
    )
    async with await ClickhouseStorage.open(link.address) as store:
        for job in jobs:
            await store.commit(Batch("a", [Entry(make_record(), None, [], [job])]))
        assert await store.jobs(10) == [jobs[2], Job(b"1" * 16, b"b" * 16, 5, b"c" * 16)]
        assert await store.jobs(1) == [jobs[2]]
        assert await store.answers_of(b"b" * 16) == [b"c" * 16]
        assert await store.answers_of(b"c" * 16) == []
