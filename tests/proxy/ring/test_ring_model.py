"""The ring against a model: a list of records and the arithmetic of a buffer that wraps, in any
order of calls.
"""

from collections import deque

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from proxy.ring.ring import RingReader, RingWriter
from proxy.ring.segment import Segment

CAPACITY = 4096
SIZES = (
    st.integers(0, 200)
    | st.integers(0, 4200)
    | st.integers(500, 530).map(lambda size: size * 8 - 20)
)


class RingMachine(RuleBasedStateMachine):
    """Push, read, release and re-attach at random; the model says what must come out."""

    def __init__(self) -> None:
        super().__init__()
        self.segment = Segment.create(
            None, b"", ring_bytes=CAPACITY, counter_cells=1, inflight_slots=1
        )
        self.wakes = 0
        self.writer = RingWriter(self.segment, self.wake)
        self.reader = RingReader(self.segment)
        self.unread: deque[tuple[int, bytes, bytes, int]] = deque()
        self.held: deque[tuple[int, bytes, bytes, int]] = deque()
        self.head = 0
        self.released = 0
        self.committed = 0
        self.pushed = 0
        self.refused = 0
        self.committed_records = 0
        self.is_asleep = True  # a fresh ring asks for its first push

    def wake(self) -> None:
        self.wakes += 1

    def teardown(self) -> None:
        self.segment.close()

    @rule(
        kind=st.integers(0, 0xFFFE),
        header=st.binary(max_size=30),
        size=SIZES,
        cut=st.integers(0, 4200),
    )
    def push(self, kind: int, header: bytes, size: int, cut: int) -> None:
        """An entry is accepted exactly when it fits behind the head or, after wrapping, before what
        is released.
        """
        body = bytes((self.pushed + index) % 251 for index in range(size))
        length = (12 + len(header) + size + 7) // 8 * 8
        rest = -self.head % CAPACITY
        start = self.head + rest if length > rest else self.head
        has_room = start + length <= self.released + CAPACITY
        woken = self.wakes
        assert self.writer.push(kind, header, [body[:cut], body[cut:]]) == has_room
        if not has_room:
            self.refused += 1
            return

        self.head = start + length
        self.pushed += 1
        self.unread.append((kind, header, body, self.head))
        assert self.wakes - woken == self.is_asleep
        self.is_asleep = False

    @rule(change=st.integers(-3, 3))
    def push_what_is_left(self, change: int) -> None:
        """An entry of just the size that fits, or some words more or less."""
        rest = -self.head % CAPACITY
        free = self.released + CAPACITY - self.head
        room = rest if free <= rest or not free - rest > rest else free - rest
        self.push(kind=1, header=b"", size=max(room - 12 + change * 8, 0), cut=0)

    @rule(max_records=st.integers(1, 5), max_bytes=st.integers(0, CAPACITY))
    def read(self, max_records: int, max_bytes: int) -> None:
        """What is read is the oldest unread, unchanged, and never nothing while something is
        unread.
        """
        entries = self.reader.read(max_records, max_bytes)
        assert len(entries) <= max_records
        assert bool(entries) == bool(self.unread)

        for kind, header, sections, end in entries:
            record = self.unread.popleft()
            assert (kind, header, bytes(sections[: len(record[2])]), end) == record
            self.held.append(record)

        assert self.reader.taken == self.committed_records + len(self.held)

    def commit(self, records: int) -> None:
        """Store the oldest held records and their position."""
        for _ in range(min(records, len(self.held))):
            self.committed = self.held.popleft()[3]
            self.committed_records += 1

    @rule(records=st.integers(0, 10))
    def release(self, records: int) -> None:
        """A part of what was read is committed and released."""
        self.commit(records)
        self.reader.release(self.committed)
        self.released = self.committed

    @rule(records=st.integers(0, 10))
    def reattach(self, records: int) -> None:
        """A new reader, after a commit that was not released, reads again exactly what was not
        committed.
        """
        self.commit(records)
        self.reader = RingReader(self.segment, self.committed, self.committed_records)
        self.unread.extendleft(reversed(self.held))
        self.held.clear()

    @rule()
    def reattach_without_position(self) -> None:
        """A new reader that is told nothing begins at what is released."""
        if self.committed == self.released:
            self.reader = RingReader(self.segment)
            self.reader.read(1 << 20, 1 << 40)
            assert self.reader.taken == self.pushed
            self.reattach(0)

    @rule(is_asleep=st.booleans())
    def sleep(self, is_asleep: bool) -> None:
        """The reader may sleep exactly when nothing is unread."""
        if is_asleep:
            assert self.reader.ask_to_wake(0) == (not self.unread)
        else:
            self.reader.stay_awake()
        self.is_asleep = is_asleep

    @invariant()
    def counts_agree(self) -> None:
        """All counters say what the model says."""
        reader = self.reader
        assert (reader.head, reader.released, reader.used_bytes) == (
            self.head,
            self.released,
            self.head - self.released,
        )
        assert (reader.pushed, reader.refused, reader.corrupt_records) == (
            self.pushed,
            self.refused,
            0,
        )
        fill = (self.head - self.released) / CAPACITY
        assert self.writer.pressure() == (fill > 0.75) + (fill > 0.9)
        assert self.pushed == self.committed_records + len(self.held) + len(self.unread)


TestRing = RingMachine.TestCase
TestRing.settings = settings(max_examples=120, stateful_step_count=40)
