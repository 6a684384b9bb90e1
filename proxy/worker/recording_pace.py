"""Back-pressure from recording: new requests wait so that their records find room in the ring
(P30).

Strategy: below half of the ring nothing waits, at the price of one comparison. Above it each new
request waits in proportion to the fill. The wait reaches `[capture] max_wait_ms` at three quarters,
and from there on records lose their bodies. So traffic slows down to the speed at which records
leave the ring. Waits below the millisecond of a timer are added up until they make one. Running
requests are not held. If the messages of a WebSocket or a gRPC stream fill their share of the ring,
the sending side is read later.

Waiting ends when nothing has left the ring for 15 s, for example because the store is away while
the spool is full, or because the collector dies again and again. It begins again when something
moves.

Invariant: a request is held once, and not beyond the limit; a worker that gets no processor may
still read it later.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from proxy.network.pacing import BY_RECORDING

log = logging.getLogger(__name__)

STANDSTILL_NS: Final = 15_000_000_000
"""How long nothing is released before requests stop waiting: three times as long as a slow
collector takes to start.
"""
LOOK_NS: Final = 1_000_000_000
"""The time between two looks at the ring while requests wait.

It is also the longest time between two looks that counts as a standstill: an unused ring did not
stand still, and neither did the ring of a frozen process.
"""
_TIMER_NS: Final = 1_000_000
"""The resolution of the loop's timers."""
_FULL_WAIT: Final = 0.25
"""The part of the ring above its half at which the wait is longest."""
_NEVER: Final = 1 << 62


class Ring(Protocol):
    """The part of `RingWriter` that decides on a wait; the tests have a ring of their own."""

    @property
    def head(self) -> int:
        """Return the offset in the ring after its newest entry."""

    @property
    def released(self) -> int:
        """Return the offset in the ring up to which all entries have been released."""

    @property
    def capacity(self) -> int:
        """Return the limit, in bytes, on the distance of `head` from `released`."""


class Paced(Protocol):
    """A socket that can be left unread for a while."""

    def pause(self, reason: int) -> None:
        """Stop reading from the socket, for one of the `BY_` reasons."""

    def resume(self, reason: int) -> None:
        """Read from the socket again, unless another reason to pause remains."""


class Share:
    """Bounds the bytes of one kind of entry in one ring, so that it never pushes out the others.

    It has two halves, used in turn. A full half is closed at the current head of the ring, and the
    next one begins when the reader has released all of the previous one. So the share costs one
    comparison per entry, and the shared cell is read only when a half is full. At most the share's
    bytes, and one entry, are in the ring and not released.
    """

    __slots__ = ("_closed_at", "_half", "_ring", "_used")

    def __init__(self, ring: Ring, size: int) -> None:
        """Grant `size` bytes of a ring."""
        self._ring = ring
        self._half = size // 2
        self._used = 0
        self._closed_at = 0
        """The ring's head when the previous half was full."""

    @property
    def filled(self) -> float:
        """The part of the share that is in the ring and not released, 0 to 1."""
        is_free = self._ring.released >= self._closed_at
        return (self._used + (0 if is_free else self._half)) / (2 * self._half)

    def take(self, size: int) -> bool:
        """Take room for the next entry, of `size` bytes; return False if the share is used up."""
        if self._used and self._used + size > self._half:
            if self._ring.released < self._closed_at:
                return False
            self._closed_at = self._ring.head
            self._used = 0

        self._used += size
        return True


def _call_later(delay_s: float, call: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(delay_s, call)


class RecordingPace:
    """Decides which connections of a worker wait for recording, and wakes them."""

    __slots__ = (
        "_call_later", "_clock_ns", "_count_standstill", "_count_wait", "_debt_ns", "_easy", "_half", "_is_still",
        "_looked_ns", "_max_wait_ns", "_released", "_ring", "_still_ns", "_waiting",
    )  # fmt: skip

    def __init__(
        self,
        ring: Ring,
        max_wait_ms: int,
        count_wait: Callable[[int], None],
        count_standstill: Callable[[], None],
        call_later: Callable[[float, Callable[[], None]], None] = _call_later,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Decide by the fill of `ring`.

        Args:
            ring: receives the records.
            max_wait_ms: the longest wait; 0 for no waits.
            count_wait: called with each wait, in ns.
            count_standstill: called each time that waiting ends because nothing moves.
            call_later: calls a function after a number of seconds.
            clock_ns: the monotonic clock.
        """
        self._ring = ring
        self._half = ring.capacity // 2
        self._max_wait_ns = max_wait_ms * 1_000_000
        self._call_later = call_later
        self._clock_ns = clock_ns
        self._count_wait = count_wait
        self._count_standstill = count_standstill
        self._easy = self._half if max_wait_ms else _NEVER
        """Below this head nothing waits: half a ring beyond the last `released` read.

        Comparing with it reads no memory that is shared with the collector.
        """
        self._released = -1
        """The ring's `released` at the last look."""
        self._looked_ns = 0
        """The time of the last look."""
        self._still_ns = 0
        """How long `released` has not moved, in observed time."""
        self._is_still = False
        """True if waiting has ended because nothing moves."""
        self._debt_ns = 0
        """The sum of waits that were too short for a timer."""
        self._waiting: deque[tuple[int, Paced]] = deque()
        """The held sockets, each with the time at which it is read again; oldest first."""

    def request_wait_ns(self, now_ns: int) -> int:
        """Return how long a request that comes now has to wait: nearly always 0."""
        if self._ring.head <= self._easy:
            return 0
        is_moving = self._look(now_ns)
        self._easy = self._released + self._half
        excess = (self._ring.head - self._easy) / (2 * self._half)
        if is_moving and excess > 0:
            return self._wait_ns(excess / _FULL_WAIT)

        return 0

    def message_wait_ns(self, now_ns: int, filled: float) -> int:
        """Return how long the sender of a message is not read.

        `filled` is the part of the messages' share of the ring that is in use.
        """
        if filled > 0.5 and self._look(now_ns):
            return self._wait_ns(filled * 2 - 1)
        return 0

    def _look(self, now_ns: int) -> bool:
        """Return True if waiting for room is useful: something has left the ring lately."""
        since_ns = now_ns - self._looked_ns
        self._looked_ns = now_ns

        released = self._ring.released
        if released != self._released:
            self._released = released
            self._still_ns = 0
            if self._is_still:
                self._is_still = False
                log.warning("records leave the ring again: requests may wait for room in it")
        else:
            self._still_ns += min(since_ns, LOOK_NS)
            if self._still_ns >= STANDSTILL_NS and not self._is_still:
                self._is_still = True
                self._count_standstill()
                log.error(
                    "no record has left the ring for %d s: requests no longer wait for room in "
                    "it, and records that do not fit are dropped",
                    STANDSTILL_NS // 1_000_000_000,
                )

        return not self._is_still

    def _wait_ns(self, part: float) -> int:
        """Return a wait of a part of the longest one; 0 until short waits add up to a timer's."""
        self._debt_ns += int(self._max_wait_ns * min(1.0, part))
        if self._debt_ns < _TIMER_NS:
            return 0
        wait_ns = self._debt_ns
        self._debt_ns = 0
        return min(wait_ns, self._max_wait_ns)

    def hold(self, paced: Paced, now_ns: int, wait_ns: int) -> None:
        """Stop reading from a socket for `wait_ns`, so that the ring can drain."""
        self._count_wait(wait_ns)
        paced.pause(BY_RECORDING)
        self._waiting.append((now_ns + wait_ns, paced))
        if len(self._waiting) == 1:
            self._call_later(min(wait_ns, LOOK_NS) / 1e9, self._wake)

    def _wake(self) -> None:
        """Resume the sockets whose time has come, or all sockets once waiting is of no use."""
        waiting = self._waiting
        now_ns = self._clock_ns()
        is_moving = self._look(now_ns)
        due_ns = now_ns + _TIMER_NS // 2
        while waiting and (waiting[0][0] <= due_ns or not is_moving):
            waiting.popleft()[1].resume(BY_RECORDING)
        if waiting:
            left_ns = min(waiting[0][0] - due_ns, LOOK_NS)
            self._call_later(max(_TIMER_NS, left_ns) / 1e9, self._wake)
