"""The tail's core against a model: whatever commits, disconnects and restarts come, nothing is lost
or doubled.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dialects.entries import encode_entries
from api.native.records import encode_record
from api.stream.tail import STORE_READERS, Subscriber, Tail
from api.stream.tail_ring import Interest
from storage.query import Filter, Page, RecordQuery, Scope, matches
from storage.record import Record
from tests.api.samples import make_batch, make_event, make_record
from tests.support.filters import make_filter
from tests.support.memory_store import MemoryStorage
from tests.support.sse import SseEvent, SseReader

ENTRY_KINDS = frozenset(("request", "response", "event"))
INTERESTS = [
    Interest(encode_entries, Filter(kind="all"), ENTRY_KINDS),
    Interest(encode_entries, Filter(kind="exchange"), frozenset(("response",))),
    Interest(encode_entries, make_filter(kind="all", levels=("error",)), ENTRY_KINDS),
    Interest(encode_entries, Filter(kind="all", scope=Scope(projects=("proj_b",))), ENTRY_KINDS),
    Interest(
        encode_record, make_filter(kind="exchange", projects=("proj_a",)), frozenset(("record",))
    ),
    Interest(encode_record, Filter(kind="all"), frozenset(("record",))),
    Interest(
        encode_record,
        Filter(kind="all"),
        frozenset(("record",)),
        lambda record, payload: encode_record(record),
    ),
]
OFFSET = 70_000


@dataclass
class Reader:
    """A client that comes and goes."""

    interest: Interest
    started_at: int
    """Entry id it began behind."""
    subscriber: Subscriber | None = None
    last_id: int | None = None
    got: list[int] = field(default_factory=list)


class World:
    """A store, the tail over it, and clients; all steps are awaited to their end."""

    def __init__(self, max_entries: int) -> None:
        self.storage = MemoryStorage()
        self.max_entries = max_entries
        self.records: list[Record] = []
        self.readers: list[Reader] = []
        self.tail = self.make_tail(0)

    def make_tail(self, head_seq: int) -> Tail:
        return Tail(self.storage, head_seq=head_seq, offset=OFFSET, max_entries=self.max_entries)

    async def commit(self, shapes: list[tuple[bool, bool, bool]]) -> None:
        """Store records given as (is an exchange, is of project b, has failed) and tell the tail."""
        fresh: list[Record] = []
        for is_exchange, is_b, has_failed in shapes:
            number = len(self.records) + len(fresh) + 1
            make = make_record if is_exchange else make_event
            status = 503 if has_failed else 200
            level = "error" if has_failed else "info"
            changes = {"status": status} if is_exchange else {}
            fresh.append(
                make(number, project="proj_b" if is_b else "proj_a", level=level, **changes)
            )

        batch = make_batch(*fresh)
        await self.storage.commit(batch)
        self.records += fresh
        self.tail.on_commit(batch)

    def restart(self) -> None:
        """The collector is gone and comes back: an empty ring, no subscribers."""
        for reader in self.readers:
            reader.subscriber = None
        self.tail = self.make_tail(len(self.records))

    def connect(self, reader: Reader) -> Subscriber:
        resume = self.tail.resume(reader.last_id)
        assert resume.reset_reason is None
        if reader.last_id is None:  # nothing was received: such a client starts live again
            reader.started_at = self.tail.head_id
        reader.subscriber = self.tail.enter(reader.interest, resume.after_id)
        return reader.subscriber

    async def read(self, reader: Reader, keep: int | None = None) -> None:
        """Read all that is there; with `keep`, the connection breaks after so many frames."""
        subscriber = reader.subscriber or self.connect(reader)
        while chunks := await self.tail.read(reader.interest, subscriber.after_id):
            for chunk in chunks:
                events = SseReader().feed(chunk.content)
                assert len(events) == chunk.frames
                for event in events[:keep]:
                    self.take(reader, event)
                subscriber.after_id = chunk.after_id
                if keep is not None and events:
                    self.disconnect(reader)
                    return

    def take(self, reader: Reader, event: SseEvent) -> None:
        content = json.loads(event.data)
        number = 2 * content["seq"] if "seq" in content else content["id"]
        assert int(event.id) == OFFSET + number
        reader.got.append(number)
        reader.last_id = int(event.id)

    def disconnect(self, reader: Reader) -> None:
        if reader.subscriber is not None:
            self.tail.leave(reader.subscriber)
            reader.subscriber = None

    def expected(self, reader: Reader) -> list[int]:
        interest = reader.interest
        return [
            number
            for record in self.records
            if matches(interest.filter, record)
            for number, kind, _ in interest.encode(record)
            if number > reader.started_at and kind in interest.kinds
        ]


SHAPES = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=7)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), SHAPES),
        st.tuples(st.just("join"), st.integers(0, len(INTERESTS) - 1)),
        st.tuples(st.just("read"), st.integers(0, 9)),
        st.tuples(st.just("break"), st.integers(0, 9), st.integers(0, 4)),
        st.tuples(st.just("leave"), st.integers(0, 9)),
        st.tuples(st.just("restart")),
    ),
    max_size=25,
)


@given(steps=STEPS, max_entries=st.integers(1, 12))
async def test_nothing_is_lost_or_doubled(
    steps: list[tuple[object, ...]], max_entries: int
) -> None:
    """Every client gets exactly its entries since it came, in order, over laps, disconnects and
    restarts.
    """
    world = World(max_entries)
    for step in steps:
        match step:
            case ("commit", list(shapes)):
                await world.commit(shapes)
            case ("join", int(which)):
                reader = Reader(INTERESTS[which], world.tail.head_id)
                world.readers.append(reader)
                world.connect(reader)
            case ("restart",):
                for reader in world.readers:
                    world.disconnect(reader)
                world.restart()
            case (action, int(which), *rest) if world.readers:
                reader = world.readers[which % len(world.readers)]
                if action == "leave":
                    world.disconnect(reader)
                else:
                    keep = rest[0] if rest else None
                    assert keep is None or isinstance(keep, int)
                    await world.read(reader, keep)

    for reader in world.readers:
        await asyncio.sleep(0)
        await world.read(reader)
        assert reader.got == world.expected(reader)

    world.tail.close()


async def drained(tail: Tail, subscriber: Subscriber) -> list[SseEvent]:
    """Read everything that is published for a subscriber."""
    events: list[SseEvent] = []
    if subscriber.after_id < tail.head_id:
        await tail.wait(subscriber, 60)
    while chunks := await tail.read(subscriber.interest, subscriber.after_id):
        for chunk in chunks:
            events += SseReader().feed(chunk.content)
            subscriber.after_id = chunk.after_id

    return events


async def ids(tail: Tail, subscriber: Subscriber) -> list[int]:
    """Read everything; answers the ids without the offset."""
    return [int(event.id) - OFFSET for event in await drained(tail, subscriber)]


async def test_a_client_without_an_id_starts_live() -> None:
    """Without Last-Event-ID nothing old is sent; with 0 everything is."""
    world = World(100)
    await world.commit([(True, False, False)] * 3)
    live = world.tail.enter(INTERESTS[0], world.tail.resume(None).after_id)
    assert await drained(world.tail, live) == []
    whole = world.tail.enter(INTERESTS[0], world.tail.resume(0).after_id)
    assert await ids(world.tail, whole) == [
        1,
        2,
        3,
        4,
        5,
        6,
    ]
    world.tail.close()


async def test_equal_streams_share_what_is_encoded() -> None:
    """A record is encoded once, however many read it."""
    encoded: list[int] = []

    def encode(record: Record) -> list[tuple[int, str, bytes]]:
        encoded.append(record.seq)
        return [(2 * record.seq, "record", b"{}")]

    world = World(100)
    interest = Interest(encode, Filter(kind="all"), frozenset(("record",)))
    subscribers = [world.tail.enter(interest, 0) for _ in range(3)]
    await world.commit([(True, False, False)] * 5)
    contents = []

    for subscriber in subscribers:
        await world.tail.wait(subscriber, 60)
        contents.append(
            b"".join([chunk.content for chunk in await world.tail.read(subscriber.interest, 0)])
        )

    assert contents[0] == contents[1] == contents[2] != b""
    assert len(encoded) == 5
    world.tail.close()


@pytest.mark.parametrize(
    ("last_event_id", "is_reset", "after_id"),
    [
        (OFFSET, False, 0), (OFFSET + 1, False, 1), (OFFSET + 6, False, 6), (OFFSET + 7, True, 6),
        (OFFSET - 1, True, 6), (1, True, 6), (0, False, 0), (None, False, 6),
    ],
)  # fmt: skip
async def test_ids_of_another_store_are_reset(
    last_event_id: int | None, is_reset: bool, after_id: int
) -> None:
    """An id above the head, or below the offset, is not of this store: the stream goes on live."""
    world = World(100)
    await world.commit([(True, False, False)] * 3)
    resume = world.tail.resume(last_event_id)
    assert (resume.reset_reason is not None, resume.after_id) == (is_reset, after_id)


async def test_a_destroyed_container_ends_its_own_streams_only() -> None:
    """Streams confined to it end with `scope-destroyed`, others go on."""
    tail = Tail(MemoryStorage())

    def entered(filter: Filter) -> Subscriber:
        return tail.enter(Interest(encode_entries, filter, ENTRY_KINDS), 0)

    by_filter = entered(make_filter(containers=("cnt_1",)))
    by_scope = entered(Filter(scope=Scope(containers=("cnt_1",))))
    others = [
        entered(Filter()),
        entered(make_filter(containers=("cnt_2",))),
        entered(make_filter(containers=("cnt_1", "c2"))),
    ]
    tail.destroy_container("cnt_1")

    for subscriber in (by_filter, by_scope):
        assert await tail.wait(subscriber, 60)
        (event,) = SseReader().feed(subscriber.ended or b"")
        assert (event.name, json.loads(event.data)) == ("scope-destroyed", {"containerId": "cnt_1"})

    assert [subscriber.ended for subscriber in others] == [None] * 3


async def test_closing_ends_streams_with_an_event() -> None:
    """At shutdown every stream learns where it can resume, also one that opens later."""
    world = World(100)
    await world.commit([(True, False, False)])
    early = world.tail.enter(INTERESTS[0], world.tail.head_id)
    world.tail.close()

    late = world.tail.enter(INTERESTS[0], world.tail.head_id)
    for subscriber in (early, late):
        assert await world.tail.wait(subscriber, 60)
        (event,) = SseReader().feed(subscriber.ended or b"")
        assert (event.name, event.id) == ("shutdown", str(OFFSET + 2))


async def test_what_another_sidecar_wrote_is_read_from_the_store() -> None:
    """A head that moved without a commit of ours is filled from the store."""
    world = World(100)
    subscriber = world.tail.enter(INTERESTS[0], 0)
    await world.commit([(True, False, False)])
    own_tail = world.tail
    world.tail = world.make_tail(0)
    await world.commit([(True, False, False)])  # told to another tail
    own_tail.note_head(2)
    assert await ids(own_tail, subscriber) == [1, 2, 3, 4]
    world.tail = own_tail
    await world.commit([(True, False, False)])
    assert await ids(own_tail, subscriber) == [5, 6]
    own_tail.close()


def bytes_of(tail: Tail) -> int:
    """What the ring takes."""
    return tail._ring.size_bytes


async def test_nothing_is_kept_while_nobody_listens() -> None:
    """Commits between two streams are held by the store alone, and the second stream misses none of
    them.
    """
    world = World(100)
    first = world.tail.enter(INTERESTS[0], 0)
    await world.commit([(True, False, False)])
    assert bytes_of(world.tail) > 0
    await drained(world.tail, first)
    world.tail.leave(first)
    await world.commit([(True, False, False)])
    assert bytes_of(world.tail) == 0
    second = world.tail.enter(INTERESTS[0], first.after_id)
    await world.commit([(True, False, False)])
    assert bytes_of(world.tail) > 0
    assert await ids(world.tail, second) == [3, 4, 5, 6]
    world.tail.close()


@pytest.mark.parametrize("make", [make_record, make_event])
async def test_the_ring_is_bounded_in_bytes(make: Callable[..., Record]) -> None:
    """Records with long texts, and their frames, push older ones out; readers then use the store."""
    world = World(1_000_000)
    world.tail = Tail(world.storage, max_bytes=200_000)
    subscriber = world.tail.enter(INTERESTS[0], 0)
    batch = make_batch(*(make(n, path="/" + "x" * 5000) for n in range(1, 200)))
    await world.storage.commit(batch)
    world.tail.on_commit(batch)
    assert bytes_of(world.tail) <= 200_000
    events = await drained(world.tail, subscriber)
    assert len(events) == (199 if make is make_event else 398)
    assert bytes_of(world.tail) <= 200_000
    world.tail.close()


class CountedReads(MemoryStorage):
    """A store that takes a moment, and notes how many read it at once."""

    running = 0
    most = 0

    async def select(self, query: RecordQuery) -> Page:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        return await super().select(query)


async def test_streams_leave_readers_of_the_store_to_queries() -> None:
    """However many come back at once, two read what they missed at a time, and each gets all of it."""
    storage = CountedReads()
    await storage.commit(make_batch(*(make_record(number) for number in range(1, 6))))
    tail = Tail(storage, head_seq=5)
    streams = [tail.enter(interest, 0) for interest in INTERESTS for _ in range(4)]

    async with asyncio.TaskGroup() as group:
        reads = [
            group.create_task(tail.read(stream.interest, stream.after_id)) for stream in streams
        ]

    assert storage.most == STORE_READERS
    assert [read.result()[-1].after_id for read in reads] == [10] * len(streams)
    tail.close()
