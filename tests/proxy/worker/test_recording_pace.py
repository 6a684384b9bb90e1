"""Back-pressure from recording: who waits, for how long, and when waiting wins nothing (P30)."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.network.pacing import BY_RECORDING
from proxy.ring.exchange import MAX_WAITED_MS
from proxy.ring.ring import RingReader
from proxy.settings.model import CaptureSettings
from proxy.worker.recording_pace import LOOK_NS, STANDSTILL_NS, RecordingPace, Share
from tests.proxy.conftest import Start
from tests.support.cases import each_of
from tests.support.plane import Plane, eventually
from tests.support.script import OK, Script

CAPACITY = 1000
MS = 1_000_000
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Ring:
    """A ring's positions."""

    capacity = CAPACITY

    def __init__(self) -> None:
        self.head = 0
        self.released = 0


class Socket:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def pause(self, reason: int) -> None:
        self.calls.append(("pause", reason))

    def resume(self, reason: int) -> None:
        self.calls.append(("resume", reason))


class Pace(RecordingPace):
    """One whose timers are called by the test, and which notes what it counts."""

    def __init__(self, ring: Ring, max_wait_ms: int = 100) -> None:
        self.waits: list[int] = []
        self.standstills = 0
        self.now_ns = 0
        self.timers: list[float] = []
        super().__init__(
            ring, max_wait_ms, self.waits.append, self._stood, self._later, lambda: self.now_ns
        )

    def _stood(self) -> None:
        self.standstills += 1

    def _later(self, delay_s: float, call: Callable[[], None]) -> None:
        self.timers.append(delay_s)

    def looks(self, count: int) -> list[int]:
        """Ask for a request each second; return what each has to wait, in ms."""
        found = []
        for _ in range(count):
            found.append(self.request_wait_ns(self.now_ns) // MS)
            self.now_ns += LOOK_NS
        return found


def pace_of(ring: Ring, max_wait_ms: int = 100) -> Pace:
    return Pace(ring, max_wait_ms)


@each_of(
    ("fill", "wait_ms"),
    [(0, 0), (500, 0), (525, 10), (600, 40), (750, 100), (900, 100), (1000, 100)],
)
def test_the_wait_grows_with_the_fill_beyond_a_half(fill: int, wait_ms: int) -> None:
    """The longest one is reached at three quarters, where bodies begin to be dropped."""
    ring = Ring()
    pace = pace_of(ring)
    ring.released = 5000
    ring.head = 5000 + fill
    assert pace.request_wait_ns(MS) == wait_ms * MS


SECONDS = STANDSTILL_NS // LOOK_NS


def test_a_collector_that_has_not_begun_is_waited_for() -> None:
    """A ring that nothing has ever left is one whose collector starts."""
    ring = Ring()
    ring.head = 750
    assert pace_of(ring).looks(3) == [100] * 3


def test_waiting_ends_where_nothing_moves_until_something_does(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each time is counted and logged once, whoever waited."""
    ring = Ring()
    pace = pace_of(ring)
    ring.head = 750
    assert pace.looks(SECONDS + 3) == [100] * SECONDS + [0] * 3
    assert pace.standstills == 1
    ring.released = 100
    ring.head = 850
    assert pace.looks(SECONDS + 3) == [100] * SECONDS + [0] * 3
    assert pace.standstills == 2
    words = [record.getMessage() for record in caplog.records]
    assert len(words) == 3
    assert words[0].startswith("no record has left the ring for 15 s: requests no longer wait")
    assert words[1].startswith("records leave the ring again")


def test_any_movement_is_enough() -> None:
    """However little leaves the ring, and however late before the limit."""
    ring = Ring()
    pace = pace_of(ring)
    for released in range(5):
        ring.released, ring.head = released, released + 750
        assert pace.looks(SECONDS) == [100] * SECONDS
    assert pace.standstills == 0


@each_of(("gap_s",), [(3600,), (15,), (2,)])
def test_time_in_which_nobody_asked_is_no_standstill(gap_s: int) -> None:
    """A ring that was not needed for an hour, or a process that was frozen, has waited for nothing."""
    ring = Ring()
    pace = pace_of(ring)
    ring.head = 750
    assert pace.looks(1) == [100]
    pace.now_ns += gap_s * LOOK_NS
    assert pace.looks(SECONDS - 1) == [100] * (SECONDS - 1)
    assert pace.looks(1) == [0]


def test_who_waits_goes_on_when_waiting_ends() -> None:
    """Whoever may wait for a minute is read on at once, and not when that is over."""
    ring = Ring()
    pace = pace_of(ring, 60_000)
    first = Socket()
    second = Socket()
    ring.head = 750
    assert pace.request_wait_ns(0) == 60_000 * MS
    pace.hold(first, 0, 60_000 * MS)
    pace.hold(second, 0, 60_000 * MS)
    assert pace.timers == [1.0]
    for _ in range(SECONDS - 1):
        pace.now_ns += LOOK_NS
        pace._wake()
    assert first.calls == second.calls == [("pause", BY_RECORDING)]
    pace.now_ns += LOOK_NS
    pace._wake()
    assert first.calls == second.calls == [("pause", BY_RECORDING), ("resume", BY_RECORDING)]
    assert pace.timers == [1.0] * SECONDS


def test_without_a_limit_nothing_waits() -> None:
    """0 is today's rule: records are dropped instead."""
    ring = Ring()
    pace = pace_of(ring, 0)
    ring.released = 1
    ring.head = 1001
    assert pace.request_wait_ns(1) == 0
    assert pace.message_wait_ns(1, 1.0) == 0


def test_waits_below_a_timers_step_are_added_up() -> None:
    """Of ten that are due 0.2 ms each, two wait for a millisecond."""
    ring = Ring()
    pace = pace_of(ring, 10)
    ring.released = 1000
    ring.head = 1505
    assert sorted(pace.request_wait_ns(1) for _ in range(10)) == [0] * 8 + [MS] * 2


def test_the_sender_of_messages_waits_by_their_share() -> None:
    """From a half on, up to the whole of it."""
    ring = Ring()
    pace = pace_of(ring)
    ring.released = 8
    assert [pace.message_wait_ns(MS, filled) // MS for filled in (0.2, 0.5, 0.75, 1.0)] == [
        0,
        0,
        50,
        100,
    ]


def test_who_waits_is_paused_counted_and_read_on() -> None:
    """In the order of coming, and by no more than was said."""
    pace = pace_of(Ring())
    first = Socket()
    second = Socket()
    pace.now_ns = MS
    pace.hold(first, 0, MS)
    pace.hold(second, 1 << 62, MS)
    pace._wake()
    assert first.calls == [("pause", BY_RECORDING), ("resume", BY_RECORDING)]
    assert second.calls == [("pause", BY_RECORDING)]
    assert pace.waits == [MS, MS]


def fill(plane: Plane, count: int) -> None:
    """Have so many exchanges recorded that carry a body of 64 KiB."""
    with plane.connect() as client:
        for _ in range(count):
            client.send(
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n" + bytes(65536)
            )
            client.answer("POST")


def release_one(reader: RingReader) -> None:
    [(_, _, _, end)] = reader.read(1, 1)
    reader.release(end)


@pytest.mark.parametrize("max_wait_ms", [40, 0])
def test_requests_wait_in_a_ring_that_fills(start: Start, max_wait_ms: int) -> None:
    """The request is forwarded all the same, its record says how long it waited, and so do the
    counters.
    """
    plane = start(
        Script(*[OK] * 40), ring_bytes=1 << 20, capture=CaptureSettings(max_wait_ms=max_wait_ms)
    )
    fill(plane, 7)
    assert plane.counters().recording_waits == 0
    fill(plane, 3)
    assert plane.call(GET) == b"ok"
    counters = plane.counters()
    assert bool(counters.recording_waits) is bool(max_wait_ms)
    assert counters.recording_wait_us <= counters.recording_waits * max_wait_ms * 1000
    waited = [exchange.waited_ms for exchange in plane.exchanges(plane.unread)]
    assert (waited[-1] > 0) is bool(max_wait_ms)
    assert not any(waited[:7])


def test_requests_that_wait_for_recording_are_served_when_their_client_ends_its_side(
    start: Start,
) -> None:
    """Also those that were sent ahead; the connection ends behind the last response."""
    plane = start(Script(*[OK] * 40), ring_bytes=1 << 20, capture=CaptureSettings(max_wait_ms=50))
    fill(plane, 10)
    release_one(plane.reader)

    with plane.connect() as client:
        client.send(GET * 2)
        client.socket.shutdown(1)
        assert [client.answer().body for _ in range(2)] == [b"ok", b"ok"]

    assert plane.counters().recording_waits > 0


def test_a_process_that_stood_still_records_its_longest_wait(start: Start) -> None:
    """A request that was held for minutes is answered, and its record has what the field holds."""
    plane = start(Script(*[OK] * 40), ring_bytes=1 << 20, capture=CaptureSettings(max_wait_ms=2000))
    fill(plane, 10)
    release_one(plane.reader)

    def move_back() -> bool:
        held = [each for each in plane.downstreams if each._held_ns]
        for each in held:
            each._held_ns -= 100_000_000_000
        return bool(held)

    with plane.connect() as client:
        client.send(GET)
        eventually(lambda: plane.run(move_back))
        assert client.answer().body == b"ok"

    assert plane.exchanges(plane.unread)[-1].waited_ms == MAX_WAITED_MS


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 200), st.booleans()), max_size=200))
def test_what_is_not_released_stays_below_the_share(steps: list[tuple[int, int, bool]]) -> None:
    """Whatever is pushed beside it, and however late the reader is, the share is held but for one
    entry.
    """
    ring = Ring()
    share = Share(ring, 200)
    pushed: list[tuple[int, int]] = []

    for size, others, is_read in steps:
        if share.take(size):
            ring.head += size
            pushed.append((ring.head, size))
        ring.head += others
        if is_read:
            ring.released = ring.head
        held = sum(size for end, size in pushed if end > ring.released)
        assert held <= 200 + 60


def test_a_full_share_is_free_again_when_its_first_half_is_read() -> None:
    """Nothing is refused while a half is free; what was refused before changes nothing."""
    ring = Ring()
    share = Share(ring, 100)
    taken = 0
    while share.take(10):
        ring.head += 10
        taken += 1
    assert taken == 10
    assert not share.take(10)
    ring.released = 50
    assert share.take(10)


def test_an_entry_larger_than_a_half_may_be_the_only_one() -> None:
    """A ring that is small for its messages still takes one at a time."""
    ring = Ring()
    share = Share(ring, 100)
    assert share.take(80)
    ring.head = 80
    assert share.take(80)
    ring.head = 160
    assert not share.take(80)
    ring.released = 160
    assert share.take(80)
