"""Ring, collector and store as one state machine: whatever stalls, in any order, no record is
dropped early.

The ring and the pace are the real ones; clients, collector, queue, spool and store are a model whose
time is a count of ticks. Invariants, at every request: a record is dropped only from a ring that
became full after nothing had left it for 15 s; nobody waits for longer than the limit; waiting ends
within 15 s of no movement, and begins again with movement.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.ring.ring import RingReader, RingWriter
from proxy.ring.segment import Segment
from proxy.worker.recording_pace import LOOK_NS, STANDSTILL_NS, RecordingPace
from tests.support.cases import each_of

TICK_NS = 20_000_000
TICKS_A_S = 1_000_000_000 // TICK_NS
MAX_WAIT_MS = 100
CONNECTIONS = 2
REQUESTS_A_TICK = 5
"""Of a connection that does not wait: half of the ring is full within 2 s."""
RECORD = bytes(24)
RING_BYTES = 64 << 10
"""A quarter of it takes what both connections record in 15 s of longest waits, 300 records of 40
bytes.
"""
QUEUE_RECORDS = 100
SPOOL_RECORDS = 2000
"""Full after 4 s of the fastest traffic."""
START_S = 2


class Store:
    """Takes records, hangs, or is away."""

    def __init__(self) -> None:
        self.hangs_until = 0
        self.away_until = 0


@dataclass
class Collector:
    """A process that reads the ring, with a queue of its own."""

    reader: RingReader
    attached_at: int
    queue: list[int] = field(default_factory=list)
    """End offsets of records that are read and not settled."""
    stopped_until: int = 0


class World:
    """A worker whose clients send as fast as they are answered, and what is behind its ring."""

    def __init__(self, segment: Segment, *, has_spool: bool = True) -> None:
        self.segment = segment
        self.now = 0
        self.writer = RingWriter(segment, lambda: None)
        self.timers: list[tuple[int, Callable[[], None]]] = []
        self.pace = RecordingPace(
            self.writer,
            MAX_WAIT_MS,
            lambda wait_ns: None,
            lambda: None,
            self._call_later,
            lambda: self.now * TICK_NS,
        )
        self.clients = [Client(self) for _ in range(CONNECTIONS)]
        self.store = Store()
        self.spool_records = 0 if has_spool else SPOOL_RECORDS
        self.has_spool = has_spool
        self.collector: Collector | None = None
        self.starts_at = 0
        """When the supervisor's next collector attaches the ring."""
        self.dies_early_until = 0
        """Until then each collector dies before it has stored anything."""
        self.moved_at = 0
        self.hoping_since = 0
        """Since when the ring is more than half full, and nothing has moved."""
        self.is_excused = False
        """Whether waiting has ended since the ring was less than three quarters full: it may have
        become full.
        """
        self.drops = 0
        self.waits = 0

    def _call_later(self, delay_s: float, call: Callable[[], None]) -> None:
        self.timers.append((self.now + max(1, round(delay_s * TICKS_A_S)), call))

    @property
    def fill(self) -> float:
        return (self.writer.head - self.writer.released) / self.writer.capacity

    @property
    def is_still(self) -> bool:
        """Whether waiting may have ended: the last look before may count for up to a second."""
        return (self.now - self.hoping_since) * TICK_NS >= STANDSTILL_NS - LOOK_NS

    def tick(self) -> None:
        self.now += 1
        self._collect()
        if self.fill <= 0.5 or self.moved_at == self.now:
            self.hoping_since = self.now
        if self.is_still:
            self.is_excused = True
        elif self.fill < 0.75:
            self.is_excused = False

        due = [call for at, call in self.timers if at <= self.now]
        self.timers = [(at, call) for at, call in self.timers if at > self.now]
        for call in due:
            call()
        for client in self.clients:
            client.act()

    def run(self, ticks: int) -> None:
        for _ in range(ticks):
            self.tick()

    def _collect(self) -> None:
        if self.collector is None:
            if self.now < self.starts_at:
                return
            self.collector = Collector(RingReader(self.segment), self.now)

        if self.now < self.dies_early_until:
            if self.now > self.collector.attached_at:
                self.kill()
            return

        if self.now >= self.collector.stopped_until:
            self._move(self.collector)

    def _move(self, collector: Collector) -> None:
        """Take what the queue has room for; settle it with the store or the spool."""
        store = self.store
        before = collector.reader.released
        is_away = self.now < store.away_until
        room = QUEUE_RECORDS - len(collector.queue)
        collector.queue += (
            [end for _, _, _, end in collector.reader.read(max(room, 0), 1 << 20)] if room else []
        )
        is_full = len(collector.queue) >= QUEUE_RECORDS

        if not is_away and self.now >= store.hangs_until:
            collector.queue, settled = [], collector.queue
            self.spool_records = 0 if self.has_spool else SPOOL_RECORDS
        elif is_away and is_full and self.spool_records < SPOOL_RECORDS:
            self.spool_records += len(collector.queue)
            collector.queue, settled = [], collector.queue
        else:
            settled = []

        if settled:
            collector.reader.release(settled[-1])
        if collector.reader.released != before:
            self.moved_at = self.now

    def record(self) -> None:
        """Push a record; check what may be dropped."""
        if not self.writer.push(1, b"", [RECORD]):
            self.drops += 1
            assert self.is_excused, f"dropped at tick {self.now}, the ring moved at {self.moved_at}"

    # What happens.

    def kill(self) -> None:
        """The collector dies; its queue is lost, the next one starts."""
        self.collector = None
        self.starts_at = self.now + START_S * TICKS_A_S

    def reload(self) -> None:
        """It hands over: the next one has read its settings before."""
        self.collector = None
        self.starts_at = self.now + TICKS_A_S

    def stop(self) -> None:
        if self.collector is not None:
            self.collector.stopped_until = self.now + 4 * TICKS_A_S

    def hang(self) -> None:
        self.store.hangs_until = self.now + 4 * TICKS_A_S

    def lose_store(self) -> None:
        """The store is away for long: the spool takes over, and becomes full if traffic goes on."""
        self.store.away_until = self.now + 22 * TICKS_A_S

    def die_early(self) -> None:
        """The collector dies again and again, before it has stored anything, for 20 s."""
        self.kill()
        self.dies_early_until = self.now + 20 * TICKS_A_S


class Client:
    """A connection: the next request follows the answer, or its wait."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.held_at: int | None = None

    def pause(self, reason: int) -> None:
        self.held_at = self.world.now

    def resume(self, reason: int) -> None:
        assert self.held_at is not None
        assert self.world.now - self.held_at <= MAX_WAIT_MS * TICKS_A_S // 1000 + 1
        self.held_at = None
        self.world.record()

    def act(self) -> None:
        world = self.world
        if self.held_at is not None:
            assert world.now - self.held_at <= MAX_WAIT_MS * TICKS_A_S // 1000 + 1, (
                "it is not read on"
            )
            return

        for _ in range(REQUESTS_A_TICK):
            now_ns = world.now * TICK_NS
            fill = world.fill
            wait_ns = world.pace.request_wait_ns(now_ns)
            assert not wait_ns or fill > 0.5
            assert not (wait_ns and now_ns - world.hoping_since * TICK_NS > STANDSTILL_NS + LOOK_NS)
            if world.moved_at == world.now and fill > 0.75:
                assert wait_ns, "it does not wait again"
            if wait_ns:
                world.waits += 1
                world.pace.hold(self, now_ns, wait_ns)
                return

            world.record()


@contextmanager
def world(*, has_spool: bool = True) -> Iterator[World]:
    """Make one whose collector starts."""
    segment = Segment.create(None, b"", ring_bytes=RING_BYTES, counter_cells=1, inflight_slots=1)
    try:
        made = World(segment, has_spool=has_spool)
        made.starts_at = START_S * TICKS_A_S
        yield made
    finally:
        segment.close()


SHORT = {"stop": World.stop, "kill": World.kill, "reload": World.reload, "hang": World.hang}
LONG = {"lose_store": World.lose_store, "die_early": World.die_early}


@each_of(("pause_s",), [(0.5,), (2.5,), (6.0,)])
def test_no_stall_of_seconds_costs_a_record(pause_s: float) -> None:
    """All orders of four of them behind a start, one after the other, or on top of each other."""
    for order in itertools.permutations(SHORT.values()):
        with world() as made:
            for happens in order:
                made.run(round(pause_s * TICKS_A_S))
                happens(made)
            made.run(10 * TICKS_A_S)
            assert made.drops == 0
            assert made.waits > 0
            assert not made.pace._is_still
            assert made.collector is not None
            assert made.fill <= 0.5


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(SHORT | LONG)), st.floats(0.0, 8.0)),
        min_size=1,
        max_size=5,
    ),
    st.booleans(),
)
def test_nothing_is_dropped_early_nor_waits_in_vain(
    events: list[tuple[str, float]], has_spool: bool
) -> None:
    """Also where the spool becomes full, there is none, or collectors die again and again."""
    with world(has_spool=has_spool) as made:
        for name, pause_s in events:
            made.run(round(pause_s * TICKS_A_S))
            (SHORT | LONG)[name](made)
        made.run(40 * TICKS_A_S)
        assert not made.pace._is_still
        drops = made.drops
        made.run(10 * TICKS_A_S)
        assert made.drops == drops


def test_a_collector_that_dies_again_and_again_stops_traffic_for_15_s_only() -> None:
    """Then records are dropped; with the first that is stored the ring has room again, and requests
    wait.
    """
    with world() as made:
        made.run(5 * TICKS_A_S)
        made.die_early()
        made.run(14 * TICKS_A_S)
        assert made.drops == 0
        made.run(3 * TICKS_A_S)
        assert made.pace._is_still
        made.run(5 * TICKS_A_S)
        assert made.drops > 0
        assert not made.pace._is_still


@each_of(("has_spool",), [(True,), (False,)])
def test_traffic_goes_on_where_the_store_is_away_for_long(has_spool: bool) -> None:
    """Once the spool is full, or at once where there is none, requests wait for 15 s; with the store
    they wait again.
    """
    with world(has_spool=has_spool) as made:
        made.run(5 * TICKS_A_S)
        made.lose_store()
        made.run(14 * TICKS_A_S)
        assert made.drops == 0
        made.run(7 * TICKS_A_S)
        assert made.pace._is_still
        assert made.drops > 0
        made.run(5 * TICKS_A_S)
        assert not made.pace._is_still
