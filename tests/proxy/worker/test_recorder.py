"""Ids, clocks and counters of exchanges."""

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from proxy.http1.websocket_frames import Message, Opcode
from proxy.ring.counters import CounterLayout
from proxy.ring.inflight import Caller, InflightReader, InflightWriter
from proxy.ring.message import OUT
from proxy.ring.ring import RingReader, RingWriter
from proxy.ring.segment import Segment
from proxy.worker.recorder import NO_SLOT, Recorder

LAYOUT = CounterLayout(1)


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[Segment]:
    """A small segment."""
    made = Segment.create(
        tmp_path, b"{}", ring_bytes=1 << 16, counter_cells=LAYOUT.size, inflight_slots=1
    )
    yield made
    made.unlink()
    made.close()


@pytest.fixture
def recorder(segment: Segment) -> Recorder:
    """A recorder on it."""
    return Recorder(
        RingWriter(segment, lambda: None), segment.counters, LAYOUT, InflightWriter(segment)
    )


def test_ids_are_uuids_in_order_of_time(recorder: Recorder) -> None:
    """Ids are UUIDv7, unique, rising, and carry the wall clock; the text is the same id."""
    before_ms = time.time_ns() // 1_000_000
    made = [recorder.begin(time.monotonic_ns(), b"c") for _ in range(2000)]
    after_ms = time.time_ns() // 1_000_000
    ids = [exchange.id for exchange in made]
    assert ids == sorted(set(ids))

    for exchange in made:
        uuid = UUID(bytes=exchange.id)
        assert (uuid.version, uuid.variant) == (7, "specified in RFC 4122")
        assert str(uuid).encode() == exchange.id_text
        assert before_ms - 1 <= int.from_bytes(exchange.id[:6], "big") <= after_ms + 1
        assert before_ms - 1 <= exchange.started_at_ns // 1_000_000 <= after_ms + 1


@pytest.mark.parametrize(
    ("delays_ns", "left", "within_ns"),
    [((2_000_000_000, 50, 1), 1, 50), ((3_000_000, 2_000_000, 4_000_000, 0), 1, 2_000_000)],
    ids=["once", "always"],
)
def test_a_worker_held_up_between_two_clocks_dates_nothing_early(
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    delays_ns: tuple[int, ...],
    left: int,
    within_ns: int,
) -> None:
    """They are read one after the other: of a few attempts the one that took least counts."""
    delays = list(delays_ns)
    now_ns = 1_000

    def wall_ns() -> int:
        nonlocal now_ns
        read_ns = now_ns + 7_000_000
        now_ns += delays.pop(0)
        return read_ns

    with monkeypatch.context() as patched:
        patched.setattr(time, "time_ns", wall_ns)
        patched.setattr(time, "monotonic_ns", lambda: now_ns)
        recorder.sample_clock()

    assert len(delays) == left
    assert abs(recorder.begin(now_ns, b"c").started_at_ns - now_ns - 7_000_000) <= within_ns


def test_an_exchange_is_pushed_and_counted(recorder: Recorder, segment: Segment) -> None:
    """Finishing pushes one record, with its duration, and counts it; without a response it counts
    as none.
    """
    exchange = recorder.begin(1000, b"c")
    exchange.request_whole = b"12345"
    recorder.finish(exchange, 3000)
    assert exchange.ended_ns == 2000
    assert RingReader(segment).pushed == 1
    snapshot = LAYOUT.read(segment.counters)
    assert snapshot.requests == {("", "OTHER", "none"): 1}
    assert snapshot.request_bytes == {"": 5}


def test_a_full_table_is_asked_once(recorder: Recorder, segment: Segment) -> None:
    """An exchange that found no slot is not tried again, and finishing it frees none."""
    first, second, hidden = (recorder.begin(0, b"c") for _ in range(3))
    hidden.is_recorded = False
    recorder.show(hidden, Caller())
    assert InflightReader(segment).scan() == []
    recorder.show(first, Caller())
    recorder.show(second, Caller())
    assert (first.slot, second.slot, hidden.slot) == (0, NO_SLOT, NO_SLOT)
    recorder.finish(second, 1)
    recorder.finish(hidden, 1)
    assert len(InflightReader(segment).scan()) == 1
    recorder.finish(first, 1)
    assert InflightReader(segment).scan() == []
    assert RingReader(segment).pushed == 2


def test_an_old_exchange_is_visible_until_it_is_pushed(segment: Segment) -> None:
    """A kill at any moment of the end finds it in the ring or in the table."""

    def pushed() -> None:
        shown.append(len(table.scan()))

    table = InflightReader(segment)
    shown: list[int] = []
    assert RingReader(segment).ask_to_wake(0)  # so that a push calls
    recorder = Recorder(
        RingWriter(segment, pushed), segment.counters, LAYOUT, InflightWriter(segment)
    )
    exchange = recorder.begin(time.monotonic_ns(), b"c")
    recorder.show(exchange, Caller())
    recorder.finish(exchange, time.monotonic_ns())
    assert shown == [1]
    assert (table.scan(), exchange.slot) == ([], -1)


def test_messages_hold_a_part_of_the_ring(recorder: Recorder, segment: Segment) -> None:
    """However many there are, exchanges find room; when the reader has released them there is room
    for others.
    """
    exchange = recorder.begin(time.monotonic_ns(), b"c")
    message = Message(Opcode.TEXT, 5, b"hello", is_compressed=False)
    pushed = 0
    while recorder.message(exchange, OUT, message, b"", follows_gap=False):
        pushed += 1
    reader = RingReader(segment)
    head = reader.read(10_000, 1 << 20)[-1][3]
    assert pushed * 64 < head <= segment.capacity // 10
    recorder.count_dropped_messages(3)
    recorder.finish(exchange, time.monotonic_ns())
    assert (reader.pushed, reader.refused, LAYOUT.read(segment.counters).dropped_messages) == (
        pushed + 1,
        0,
        4,
    )
    reader.release(head)
    assert recorder.message(exchange, OUT, message, b"", follows_gap=True)


def test_a_message_that_the_ring_refuses_is_not_recorded(
    recorder: Recorder, segment: Segment
) -> None:
    """Exchanges may fill it; the next message of its direction then follows a gap, and the ring
    counts this one.
    """
    exchange = recorder.begin(time.monotonic_ns(), b"c")
    message = Message(Opcode.TEXT, 5, b"hello", is_compressed=False)
    reader = RingReader(segment)

    for size in (1000, 100, 10, 1):
        refused = reader.refused
        while reader.refused == refused:
            large = recorder.begin(time.monotonic_ns(), b"c" * size)
            recorder.finish(large, time.monotonic_ns())

    pushed = reader.pushed
    refused = reader.refused
    assert not recorder.message(exchange, OUT, message, b"", follows_gap=False)
    assert (reader.pushed, reader.refused) == (pushed, refused + 1)
    assert LAYOUT.read(segment.counters).dropped_messages == 0
