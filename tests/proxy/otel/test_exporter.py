"""The export of one signal: every record is sent, refused or missed, and nothing is sent twice that
was answered.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import msgspec
import pytest

from proxy.otel.answers import MAX_TRIES, Answer, Later
from proxy.otel.exporter import AWAY_S, FIRST_PAUSE_S, MAX_PAUSE_S, Exporter, Progress
from proxy.otel.reading import Reader
from proxy.otel.requests import Signal
from storage.base import Storage
from storage.errors import StorageUnavailable
from storage.query import Page, RecordQuery
from storage.record import Batch, Entry, Record, format_id
from storage.search.expression import And
from storage.sqlite.store import SqliteStorage
from tests.storage.samples import make_record
from tests.support.filters import make_filter
from tests.support.otlp import tool_call
from tests.support.otlp_sender import OK, FakeSender
from tests.support.pages import answer_pages

INTERVAL_S = 7.0
NOW_S = 1_790_000_100.0
BEGINNING = Progress(0, 0)


class World:
    """A store, a receiver, and an export between them."""

    def __init__(self, store: Storage) -> None:
        self.store = store
        self.receiver = FakeSender()
        self.stored = 0
        self.exporter = self.start()

    def start(
        self, *, signal: Signal = "traces", max_records: int = 10, max_bytes: int = 1 << 20,
        start: Progress | None = BEGINNING,
    ) -> Exporter:  # fmt: skip
        """Begin again, as another process does."""
        reader = Reader(self.store, "sidecar-1", max_records=max_records)
        self.exporter = Exporter(
            signal, reader, self.receiver.send, self.store, stored_records=lambda: self.stored, max_bytes=max_bytes,
            interval_s=INTERVAL_S, start=start, clock=lambda: NOW_S,
        )  # fmt: skip
        return self.exporter

    async def keep(self, *records: Record) -> list[str]:
        """Commit records; returns the ids of those of this sidecar."""
        await self.store.commit(Batch("sidecar-1", [Entry(record) for record in records]))
        own = [record for record in records if record.instance == "sidecar-1"]
        self.stored += len(own)
        return [format_id(record.id) for record in own]

    async def progress(self, signal: Signal = "traces") -> Progress:
        """The position as it is kept."""
        kept = await self.store.meta(f"otel_{signal}:sidecar-1")
        assert kept is not None
        return msgspec.json.decode(kept, type=Progress)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An empty store."""
    async with await SqliteStorage.open(None, read_budget_s=60.0) as store:
        yield World(store)


async def test_everything_is_sent_in_order_and_once(world: World) -> None:
    """Page after page; the position is the newest record, and the next process sends nothing again."""
    ids = await world.keep(*(make_record() for _ in range(25)))
    assert await world.exporter.step() == INTERVAL_S
    assert world.receiver.taken == ids
    assert [len(request) for request in world.receiver.requests] == [10, 10, 5]
    assert await world.progress() == Progress(25, 25)
    ids += await world.keep(make_record())
    await world.start().step()
    await world.exporter.step()
    assert world.receiver.taken == ids
    assert (world.exporter.counters.exported, world.exporter.counters.missed_records) == (1, 0)


async def test_an_export_begins_behind_what_is_there(world: World) -> None:
    """Without a position, and without a start that is told: history is not sent."""
    await world.keep(*(make_record() for _ in range(3)))
    world.start(start=None)
    await world.exporter.step()
    ids = await world.keep(make_record())
    await world.exporter.step()
    assert world.receiver.taken == ids
    assert world.exporter.counters.missed_records == 0


async def test_records_of_others_are_theirs_to_send(world: World) -> None:
    """They are no holes either."""
    ids = await world.keep(make_record(), make_record(instance="other"), make_record())
    await world.exporter.step()
    assert world.receiver.taken == ids
    assert world.exporter.counters.missed_records == 0
    assert await world.progress() == Progress(3, 2)


async def test_what_has_no_span_is_passed_over(world: World) -> None:
    """Events are counted and not sent; no request is empty."""
    await world.keep(make_record(kind="event", name="start", data=b"{}"))
    await world.exporter.step()
    assert world.receiver.requests == []
    assert await world.progress() == Progress(1, 1)
    world.start(signal="logs")
    await world.exporter.step()
    assert len(world.receiver.requests) == 1


@pytest.mark.parametrize("max_bytes", [1, 3000])
async def test_requests_are_bounded_in_bytes(world: World, max_bytes: int) -> None:
    """A record that is larger has a request of its own."""
    ids = await world.keep(*(make_record() for _ in range(5)))
    world.start(max_bytes=max_bytes)
    await world.exporter.step()
    assert world.receiver.taken == ids
    assert len(world.receiver.requests) > 2


async def test_pauses_double_and_nothing_is_passed_over(world: World) -> None:
    """While the receiver cannot be reached, each step tries once; then it gets everything."""
    ids = await world.keep(*(make_record() for _ in range(3)))
    world.receiver.plan = lambda ids, before: Later("unreachable", "refused")
    pauses = [await world.exporter.step() for _ in range(9)]
    assert pauses == [min(FIRST_PAUSE_S * 2**n, MAX_PAUSE_S) for n in range(9)]
    assert len(world.receiver.requests) == 9
    assert world.exporter.counters.failures["unreachable"] == 9
    assert (world.exporter.problem, world.exporter.waiting_records) == ("refused", 3)
    assert world.exporter.lag_s == pytest.approx(100, abs=1)
    world.receiver.plan = lambda ids, before: OK
    assert await world.exporter.step() == INTERVAL_S
    assert world.receiver.taken == ids
    assert (world.exporter.problem, world.exporter.waiting_records, world.exporter.lag_s) == (
        "",
        0,
        0.0,
    )


async def test_the_receiver_says_when(world: World) -> None:
    """Its pause is kept, though never shorter than our first one."""
    await world.keep(make_record())
    for said, kept in (("33", 33.0), ("0", FIRST_PAUSE_S)):
        world.receiver.plan = lambda ids, before, said=said: Answer(429, retry_after=said)  # type: ignore[misc]
        assert await world.exporter.step() == kept
    assert world.exporter.counters.failures["throttled"] == 2


async def test_a_refused_record_is_found_and_passed_over(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The batch is halved until the one is alone; all others are taken, in order, each once."""
    ids = await world.keep(*(make_record() for _ in range(10)))
    bad = ids[6]
    world.receiver.plan = lambda ids, before: (
        Answer(400, body=b"bad attribute") if bad in ids else OK
    )
    await world.exporter.step()
    assert world.receiver.taken == [each for each in ids if each != bad]
    counted = world.exporter.counters
    assert (counted.exported, counted.rejected, counted.missed_records) == (9, 1, 0)
    assert "1 of 1 were refused and are passed over: status 400: bad attribute" in caplog.text
    assert await world.progress() == Progress(10, 10)


@pytest.mark.parametrize("status", [400, 402, 408, 411, 413, 415, 422])
@pytest.mark.parametrize("number", [1, 8])
async def test_a_receiver_that_refuses_everything_is_waited_for(
    world: World, status: int, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is passed over: the one who is wrong is the receiver, and that is said."""
    ids = await world.keep(*(make_record() for _ in range(number)))
    world.receiver.plan = lambda ids, before: Answer(status)
    pauses = [await world.exporter.step() for _ in range(3)]
    assert pauses == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    counted = world.exporter.counters
    assert (counted.rejected, counted.exported, world.exporter.waiting_records) == (0, 0, number)
    assert sum(counted.failures.values()) == len(world.receiver.requests)
    assert f"status {status}" in world.exporter.problem
    assert caplog.text.count(f"status {status}") == 1

    world.receiver.plan = lambda ids, before: OK
    await world.exporter.step()
    assert world.receiver.taken == ids
    assert world.exporter.problem == ""


async def test_a_record_that_is_refused_waits_until_another_is_taken(world: World) -> None:
    """Alone it says nothing: the receiver may have become a bad one since it took the last."""
    ids = await world.keep(make_record())
    await world.exporter.step()
    bad = await world.keep(make_record())
    world.receiver.plan = lambda sent, before: Answer(400) if bad[0] in sent else OK
    for _ in range(2):
        await world.exporter.step()
    assert (world.exporter.counters.rejected, world.exporter.waiting_records) == (0, 1)
    ids += await world.keep(make_record())
    await world.exporter.step()
    assert world.receiver.taken == ids
    assert (world.exporter.counters.rejected, world.exporter.waiting_records) == (1, 0)


@pytest.mark.parametrize("signal", ["traces", "logs"])
async def test_bad_records_side_by_side_are_passed_over(world: World, signal: Signal) -> None:
    """Others are asked for further behind, and none is sent twice."""
    ids = await world.keep(*(make_record() for _ in range(40)))
    world.start(signal=signal, max_records=40)
    bad = {*ids[3:19], ids[39]}
    world.receiver.plan = lambda sent, before: Answer(422) if bad & {*sent} else OK
    await world.exporter.step()
    assert sorted(world.receiver.taken) == [each for each in ids if each not in bad]
    counted = world.exporter.counters
    assert (counted.exported, counted.rejected, counted.missed_records) == (23, 17, 0)
    assert await world.progress(signal) == Progress(40, 40)


async def test_a_server_that_fails_over_a_record_does_not_stop_the_export(world: World) -> None:
    """After some tries it counts as refused; while it is tried, nothing behind it is sent."""
    ids = await world.keep(make_record(), make_record())
    world.receiver.plan = lambda sent, before: Answer(500) if ids[0] in sent else OK
    for _ in range(2 * MAX_TRIES + 1):
        await world.exporter.step()
    assert world.receiver.taken == ids[1:]
    assert (world.exporter.counters.exported, world.exporter.counters.rejected) == (1, 1)


async def test_a_part_that_is_refused_is_counted(world: World) -> None:
    """`partialSuccess`: nobody knows which, so nothing is sent again."""
    await world.keep(*(make_record() for _ in range(4)))
    body = b'{"partialSuccess": {"rejectedSpans": "3", "errorMessage": "too old"}}'
    world.receiver.plan = lambda ids, before: Answer(200, body=body)
    await world.exporter.step()
    assert (world.exporter.counters.exported, world.exporter.counters.rejected) == (1, 3)
    assert world.exporter.problem == "3 of 4 were refused and are passed over: too old"
    assert len(world.receiver.requests) == 1


async def test_the_position_is_saved_before_the_next_request(world: World) -> None:
    """A process that ends in its second request begins with that one."""
    ids = await world.keep(*(make_record() for _ in range(20)))

    def end(sent: list[str], before: int) -> Answer:
        if before == 1:
            raise asyncio.CancelledError
        return OK

    world.receiver.plan = end
    with pytest.raises(asyncio.CancelledError):
        await world.exporter.step()
    assert world.receiver.taken == ids[:10]
    world.receiver.plan = lambda sent, before: OK
    await world.start().step()
    assert world.receiver.requests == [ids[:10], ids[10:]]


async def test_a_position_that_could_not_be_saved_is_saved_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store went away between answer and position: nothing is sent until it is saved."""
    ids = await world.keep(*(make_record() for _ in range(20)))
    put = world.store.put_meta
    is_away = False

    async def put_meta(name: str, value: str, *, replace: bool) -> str:
        if is_away:
            raise StorageUnavailable("away")
        return await put(name, value, replace=replace)

    def take(sent: list[str], before: int) -> Answer:
        nonlocal is_away
        is_away = True
        return OK

    monkeypatch.setattr(world.store, "put_meta", put_meta)
    world.receiver.plan = take
    assert await world.exporter.step() == AWAY_S
    assert await world.exporter.step() == AWAY_S
    assert len(world.receiver.requests) == 1
    world.receiver.plan = lambda sent, before: OK
    is_away = False
    await world.exporter.step()
    assert world.receiver.taken == ids


async def test_what_is_gone_before_it_was_sent_is_missed(world: World) -> None:
    """Erased or purged: it is counted, once, and not sent from memory."""
    ids = await world.keep(
        make_record(), make_record(path="/secret"), make_record(path="/secret"), make_record()
    )
    world.receiver.plan = lambda sent, before: Later("unreachable", "refused")
    await world.exporter.step()
    await world.store.erase(make_filter(path_contains="/secret"))
    world.receiver.plan = lambda sent, before: OK
    await world.exporter.step()
    assert world.receiver.taken == [ids[0], ids[3]]
    assert world.exporter.counters.missed_records == 2
    await world.keep(make_record())
    await world.exporter.step()
    assert world.exporter.counters.missed_records == 2
    assert await world.progress() == Progress(5, 5)


async def test_what_went_while_nobody_ran_is_missed(world: World) -> None:
    """The count is kept with the position."""
    await world.keep(make_record())
    await world.exporter.step()
    await world.keep(make_record(path="/secret"), make_record(path="/secret"))
    await world.store.erase(make_filter(path_contains="/secret"))
    await world.start().step()
    assert world.exporter.counters.missed_records == 2
    await world.start().step()
    assert world.exporter.counters.missed_records == 0


async def test_a_ledger_that_is_behind_the_store_counts_nothing_twice(world: World) -> None:
    """A commit is in the store before it is in the ledger."""
    ids = await world.keep(*(make_record() for _ in range(4)))
    world.stored = 2
    await world.exporter.step()
    assert world.receiver.taken == ids
    world.stored = 4
    await world.exporter.step()
    assert (world.exporter.counters.missed_records, len(world.receiver.requests)) == (0, 1)


async def test_an_empty_store_in_the_place_of_one_begins_anew(world: World) -> None:
    """Its records are sent; those of the old one that were not are missed."""
    await world.keep(*(make_record() for _ in range(5)))
    await world.exporter.step()
    async with await SqliteStorage.open(None, read_budget_s=60.0) as empty:
        exporter = world.exporter
        exporter.storage = empty
        exporter.reader._storage = empty
        record = make_record()
        await empty.commit(Batch("sidecar-1", [Entry(record)]))
        world.stored += 1 + 3  # three were committed to the old one meanwhile
        await exporter.step()
        assert world.receiver.taken[5:] == [format_id(record.id)]
        assert exporter.counters.missed_records == 3
        assert exporter.waiting_records == 0


async def test_a_store_that_lost_its_newest_commits_is_not_sent_again(world: World) -> None:
    """A replica that became the primary: what it has was sent, and it has the position of then."""
    first = [make_record() for _ in range(3)]
    await world.keep(*first)
    await world.exporter.step()
    then = await world.progress()
    await world.keep(make_record(), make_record())
    await world.exporter.step()

    async with await SqliteStorage.open(None, read_budget_s=60.0) as replica:
        exporter = world.exporter
        exporter.storage = replica
        exporter.reader._storage = replica
        await replica.commit(Batch("sidecar-1", [Entry(record) for record in first]))
        await replica.put_meta(
            "otel_traces:sidecar-1", msgspec.json.encode(then).decode(), replace=True
        )
        world.stored += 1  # of which the two that are lost are a part
        await exporter.step()
        assert len(world.receiver.taken) == 5
        record = make_record()
        await replica.commit(Batch("sidecar-1", [Entry(record)]))
        world.stored += 1
        await exporter.step()
        assert world.receiver.taken[5:] == [format_id(record.id)]


async def test_tool_calls_are_found_in_parts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of other sidecars fill the time budget: the search for those with tool calls is taken
    up again.
    """
    records = [make_record() for _ in range(3)]
    calls = [tool_call(record_id=record.id, position=0) for record in records]
    entries = [Entry(record, None, [call]) for record, call in zip(records, calls, strict=True)]
    select = world.store.read
    is_away = True

    async def select_one(query: RecordQuery) -> Page:
        """Answer as a store whose time is up behind one record; before the first, at first."""
        if not isinstance(query.filter.where, And):
            return await select(query)
        if is_away:
            return Page([], complete=False, next_after=query.after)
        page = await select(replace(query, limit=1))
        return replace(page, complete=page.next_after is None)

    answer_pages(monkeypatch, world.store, select_one)
    await world.store.commit(Batch("sidecar-1", entries))
    world.stored += 3
    assert await world.exporter.step() == AWAY_S
    is_away = False
    assert await world.exporter.step() == INTERVAL_S
    assert sorted(world.receiver.taken) == sorted(2 * [format_id(record.id) for record in records])


@pytest.mark.parametrize("kept", ["no JSON", '{"more":' + "[" * 60_000])
async def test_a_position_that_cannot_be_read_begins_anew(world: World, kept: str) -> None:
    """As an export without one does."""
    await world.store.put_meta("otel_traces:sidecar-1", kept, replace=True)
    await world.keep(make_record())
    world.start(start=None)
    await world.exporter.step()
    assert world.receiver.requests == []
    assert await world.progress() == Progress(1, 1)


async def test_a_store_that_is_away_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a position nothing is said to wait."""

    async def away(name: str) -> str | None:
        raise StorageUnavailable("away")

    await world.keep(make_record())
    monkeypatch.setattr(world.store, "meta", away)
    assert await world.exporter.step() == AWAY_S
    assert world.exporter.waiting_records == 0
    monkeypatch.undo()
    assert await world.exporter.step() == INTERVAL_S
    assert len(world.receiver.taken) == 1


async def test_a_fault_of_ours_is_told_and_tried_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """It ends neither the export nor what runs beside it."""

    def fail(ids: list[str], before: int) -> Answer:
        if before == 0:
            raise IndexError("a fault")
        return OK

    (record_id,) = await world.keep(make_record())
    world.receiver.plan = fail
    assert await world.exporter.step() == MAX_PAUSE_S
    assert "bug: the export of traces failed" in caplog.text
    world.receiver.plan = lambda ids, before: OK
    assert await world.exporter.step() == INTERVAL_S
    assert world.receiver.taken == [record_id]


async def test_a_stop_sends_what_is_there(world: World) -> None:
    """Once more, and then the task ends, whether it could be sent or not."""
    ids = await world.keep(make_record())
    world.exporter.stop()
    await world.exporter.run()
    assert world.receiver.taken == ids
    world.receiver.plan = lambda sent, before: Later("unreachable", "refused")
    await world.keep(make_record())
    world.start().stop()
    await world.exporter.run()
    assert len(world.receiver.requests) == 2
