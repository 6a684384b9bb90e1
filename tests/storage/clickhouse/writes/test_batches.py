"""Batches: every table of a batch is there or none, each record once, whatever became of an answer."""

import asyncio
from collections.abc import Sequence

import pytest

from storage.clickhouse.link import Link
from storage.clickhouse.tables import create
from storage.clickhouse.writes.batches import BatchStore
from storage.clickhouse.writes.payloads import BODIES, HEADS, payload_of
from storage.errors import StorageRejected, StorageUnavailable
from storage.record import Batch, Entry, Job, Payload, Position, Record, ToolCall, ToolStatus
from storage.relational.time_ranges import DAY_US
from tests.storage.clickhouse.links import WaywardLink
from tests.storage.samples import SOURCE, START_US, make_batch, make_body, make_payload, make_record

LIVE = "attempt IN (SELECT attempt FROM commits)"


async def opened(link: Link) -> BatchStore:
    """What stores batches in the database of a link."""
    return BatchStore(link, await create(link))


async def stored(link: Link) -> list[tuple[int, bytes]]:
    """The committed rows: number and id."""
    return await link.fetch(f"SELECT seq, id FROM records WHERE {LIVE} ORDER BY seq", limit_s=30)


def numbered(records: Sequence[Record]) -> list[tuple[int, bytes]]:
    """What is stored of records that are all there is."""
    return [(seq, record.id) for seq, record in enumerate(records, 1)]


def call(record: Record, position: int, status: ToolStatus = "success") -> ToolCall:
    """A tool call of a record."""
    return ToolCall(
        record_id=record.id, position=position, started_at_us=START_US, created_at_us=START_US, tool_name="add",
        server_label="s", status=status, arguments=b"{}",
    )  # fmt: skip


async def test_all_tables_of_a_batch_are_written(link: Link) -> None:
    """Rows of each table have the number of their record."""
    store = await opened(link)
    await store.store(make_batch(make_record()))
    first, second, third = make_record(), make_record(), make_record()
    entries = [
        Entry(first),
        Entry(second, make_payload(), [call(second, 0), call(second, 7), call(second, 8, "processing")]),
        Entry(third, Payload(b"h", b"\xff", None, None), [call(third, 0)], [Job(b"j" * 16, third.id, 5)]),
    ]
    assert await store.store(Batch("sidecar-1", entries, {SOURCE: Position(offset=9)})) == 4
    assert [entry.record.seq for entry in entries] == [2, 3, 4]
    assert (await store.positions("sidecar-1"))[SOURCE].offset == 9
    found = await link.fetch("SELECT seq, position, place, id FROM tool_calls ORDER BY id", limit_s=30)
    assert found == [(3, 0, 0, 3 << 20), (3, 7, 1, (3 << 20) + 1), (4, 0, 0, 4 << 20)]
    assert await link.fetch("SELECT seq, position FROM waiting_calls", limit_s=30) == [(3, 8)]
    assert await link.fetch("SELECT seq, id, counted_by FROM jobs", limit_s=30) == [(4, b"j" * 16, None)]
    assert await link.fetch("SELECT seq FROM heads ORDER BY seq", limit_s=30) == [(3,), (4,)]
    assert await link.fetch("SELECT seq FROM bodies", limit_s=30) == [(3,)]


async def test_payloads_read_back(link: Link) -> None:
    """Heads, bodies, trailers and timelines, whatever their bytes and sizes."""
    store = await opened(link)
    sizes = [0, 1, 127, 128, 16_383, 16_384, 70_000, 1_000_000]
    payloads = [
        Payload(b"h" * size, b"r", make_body(bytes([size % 251]) * size, b"tail"), make_body(b"\xff\0%d" % size))
        for size in sizes
    ]
    payloads += [
        Payload(b"a", b"b", None, make_body(b"\0"), [(1, 2), (3, 4)]),
        Payload(b"", b"", make_body(b""), None, [], b"T: 1\r\nT: 2", b"\xfe"),
    ]
    await store.store(Batch("sidecar-1", [Entry(make_record(), payload) for payload in payloads]))
    heads = await link.fetch(f"SELECT {', '.join(HEADS)}, timeline FROM heads ORDER BY seq", limit_s=30)
    bodies = await link.fetch(f"SELECT {', '.join(BODIES)} FROM bodies ORDER BY seq", limit_s=30)
    assert [payload_of(*pair) for pair in zip(heads, bodies, strict=True)] == payloads
    assert payload_of(heads[0], None) == Payload(b"", b"r", None, None)


@pytest.mark.parametrize(
    "spoil",
    [
        {"path": "\udc80"}, {"project": "\udc80"}, {"level": "fatal"}, {"id": b"short"}, {"started_at_us": -(1 << 64)},
        {"input_tokens": 1 << 63}, {"cost_usd": "much"},
    ],
    ids=lambda spoil: next(iter(spoil)),
)  # fmt: skip
async def test_a_refused_value_leaves_no_trace(link: Link, spoil: dict[str, object]) -> None:
    """The batch is refused, and the next one has its numbers."""
    store = await opened(link)
    good, bad = make_record(), make_record(**spoil)
    with pytest.raises(StorageRejected):
        await store.store(make_batch(good, bad, offset=2))
    assert await store.positions("sidecar-1") == {}
    assert await store.store(make_batch(good, offset=1)) == 1
    assert await stored(link) == numbered([good])


async def test_a_stored_id_is_refused(link: Link) -> None:
    """An id that is stored, or twice in the batch; one of a batch that was refused is free."""
    store = await opened(link)
    records = [make_record() for _ in range(3)]
    await store.store(make_batch(*records[:1]))
    for twice in (records[0], records[2]):
        with pytest.raises(StorageRejected, match=r"stored already|in the batch twice"):
            await store.store(make_batch(*records[1:], twice))
    await store.store(make_batch(*records[1:]))
    await store.store(make_batch(make_record(id=bytes(16))))
    with pytest.raises(StorageRejected, match="1 of 2 ids are stored already"):
        await store.store(make_batch(make_record(), make_record(id=bytes(16))))
    assert len(await stored(link)) == 4


async def test_a_batch_may_be_of_many_days(link: Link) -> None:
    """Rows of more days than a server lets one insert have unless it is told to."""
    store = await opened(link)
    records = [make_record(started_at_us=day * DAY_US) for day in range(130)]
    await store.store(Batch("sidecar-1", [Entry(record, make_payload()) for record in records]))
    assert await stored(link) == numbered(records)


async def test_a_lost_answer_stores_nothing_twice(link: Link, wayward: WaywardLink) -> None:
    """Records of a commit whose answer was lost are found to be stored, whichever of them come again."""
    store = await opened(wayward)
    batch = make_batch(*[make_record() for _ in range(4)], offset=4)
    wayward.is_lossy = True
    with pytest.raises(StorageUnavailable):
        await store.store(batch)
    wayward.is_lossy = False
    more = make_record()
    again = Batch("sidecar-1", [*batch.entries[2:], Entry(more)], {SOURCE: Position(offset=5)})
    assert await store.store(again) == 5
    assert [entry.record.seq for entry in again.entries] == [3, 4, 5]
    assert await store.store(Batch("sidecar-1", batch.entries[:2], {SOURCE: Position(offset=5)})) == 5
    assert await stored(link) == numbered([*(entry.record for entry in batch.entries), more])
    assert (await store.positions("sidecar-1"))[SOURCE].offset == 5


async def test_what_turned_out_to_be_stored_is_so_after_a_failure(link: Link, wayward: WaywardLink) -> None:
    """A batch that has it with it, and cannot be committed, does not store it twice when it comes again."""
    store = await opened(wayward)
    batch = make_batch(make_record(), make_record())
    wayward.is_lossy = True
    with pytest.raises(StorageUnavailable):
        await store.store(batch)
    more = Batch("sidecar-1", [*batch.entries, Entry(make_record())])
    wayward.is_lossy = False
    wayward.is_late = True
    with pytest.raises(StorageUnavailable):
        await store.store(more)
    wayward.is_late = False
    assert await store.store(more) == 3
    assert await stored(link) == numbered([entry.record for entry in more.entries])


async def test_a_commit_that_came_too_late_is_made_again(link: Link, wayward: WaywardLink) -> None:
    """What was not stored is stored when it comes again, once."""
    store = await opened(wayward)
    batch = make_batch(make_record(), make_record())
    wayward.is_late = True
    with pytest.raises(StorageUnavailable):
        await store.store(batch)
    wayward.is_late = False
    assert await store.store(batch) == 2
    for sql, parameters in wayward.late:
        await link.execute(sql, parameters, limit_s=30)
    assert await stored(link) == numbered([entry.record for entry in batch.entries])


async def test_a_cancelled_batch_that_comes_again_is_stored_once(link: Link) -> None:
    """Whenever it was cancelled."""
    store = await opened(link)
    records: list[Record] = []
    for delay_s in (0, 0.002, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.06):
        batch = Batch("sidecar-1", [Entry(make_record(), make_payload()) for _ in range(120)])
        records += [entry.record for entry in batch.entries]
        try:
            async with asyncio.timeout(delay_s):
                await store.store(batch)
        except TimeoutError:
            await store.store(batch)
        assert batch.entries[-1].record.seq == len(records)
    assert await stored(link) == numbered(records)
    heads = await link.fetch(f"SELECT seq FROM heads WHERE {LIVE} ORDER BY seq", limit_s=30)
    assert heads == [(record.seq,) for record in records]


async def test_a_batch_without_records_moves_positions(link: Link) -> None:
    """Of its sidecar only, and takes away those that are retired."""
    store = await opened(link)
    other = bytes(16)
    await store.store(Batch("a", [], {SOURCE: Position(offset=10), other: Position(offset=5)}))
    await store.store(Batch("b", [], {SOURCE: Position(offset=99)}))
    assert await store.store(Batch("a", [], {SOURCE: Position(offset=12), other: Position()}, [other])) == 0
    assert await store.positions("a") == {SOURCE: Position(offset=12)}
    assert await store.positions("b") == {SOURCE: Position(offset=99)}


async def test_a_store_without_a_server_is_unavailable(link: Link) -> None:
    """And the batch can be tried again."""
    store = await opened(link)
    await store.close()
    await link.close()
    with pytest.raises(StorageUnavailable):
        await store.store(make_batch(make_record()))
