"""How long new requests wait so that their records find room in the ring: back-pressure from recording (P30).

Strategy: below half of the ring nothing waits, and one comparison says so. Above it each new request waits in
proportion to the fill, up to `[capture] max_wait_ms` at three quarters, from where on records lose their bodies. So
traffic slows down to the speed at which records leave the ring. Waits shorter than a timer's millisecond are added up
until they make one. Requests that run are not held; of a WebSocket or a gRPC stream whose messages fill their share of
the ring the side that sends is read later.

Invariant: a request is held once, for no longer than the limit; a worker that gets no processor reads it later. Where
no record has left the ring for a second (the collector or the store stopped, spool and queue are full) waiting wins
nothing, and none waits.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from proxy.network.fair_loop import BY_RECORDING

STANDSTILL_NS: Final = 1_000_000_000
"""After so long without a release waiting wins nothing."""
_TIMER_NS: Final = 1_000_000
"""The loop's timers count milliseconds."""
_FULL_WAIT: Final = 0.25
"""Part of the ring, above its half, at which the wait is the longest."""
_NEVER: Final = 1 << 62


class Positions(Protocol):
    """Where a ring's writer and reader are."""

    @property
    def head(self) -> int:
        """End of the newest entry."""

    @property
    def released(self) -> int:
        """What lies before this offset is free again."""


class Ring(Positions, Protocol):
    """The ring's positions, and how far apart they may be."""

    @property
    def capacity(self) -> int: ...


class Paced(Protocol):
    """A socket that can be left unread for a while."""

    def pause(self, reason: int) -> None:
        """Read no more of it for a reason."""

    def resume(self, reason: int) -> None:
        """Read on as far as this reason goes."""


class Share:
    """Bounds the bytes of one kind of entry in one ring, so that it never pushes out the others.

    Two halves, used in turn: a full half is closed at the ring's head of that moment, and the next one begins when the
    reader has released all of the one before it. So the share costs one comparison an entry, and the shared cell is
    read only when a half is full. At most the share's bytes, and one entry, are in the ring and not released.
    """

    __slots__ = ("_closed_at", "_half", "_ring", "_used")

    def __init__(self, ring: Positions, size: int) -> None:
        """Grant `size` bytes of it."""
        self._ring = ring
        self._half = size // 2
        self._used = 0
        self._closed_at = 0
        """End of the half before this one."""

    @property
    def filled(self) -> float:
        """Which part of the share is in the ring and not released, 0 to 1."""
        is_free = self._ring.released >= self._closed_at
        return (self._used + (0 if is_free else self._half)) / (2 * self._half)

    def take(self, size: int) -> bool:
        """Take room for an entry of `size` bytes, which is pushed next; False when there is none."""
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
        "_call_later", "_count", "_debt_ns", "_easy", "_half", "_max_wait_ns", "_moved_ns", "_released", "_ring",
        "_waiting",
    )  # fmt: skip

    def __init__(
        self,
        ring: Ring,
        max_wait_ms: int,
        count: Callable[[int], None],
        call_later: Callable[[float, Callable[[], None]], None] = _call_later,
    ) -> None:
        """Judge by the fill of `ring`; with a limit of 0 ms nothing waits. `count` is called with each wait, ns."""
        self._ring = ring
        self._half = ring.capacity // 2
        self._max_wait_ns = max_wait_ms * 1_000_000
        self._call_later = call_later
        self._count = count
        self._easy = self._half if max_wait_ms else _NEVER
        """Half of the ring above the last `released` that was looked at: below it nothing shared has to be read."""
        self._released = 0
        self._moved_ns = -_NEVER
        """When `released` was first seen where it is."""
        self._debt_ns = 0
        self._waiting: deque[tuple[int, Paced]] = deque()
        """When each is to be read on; in the order of their coming."""

    def request_wait_ns(self, now_ns: int) -> int:
        """Return how long a request that comes now has to wait: nearly always 0."""
        if self._ring.head <= self._easy:
            return 0
        is_moving = self._is_moving(now_ns)
        self._easy = self._released + self._half
        excess = (self._ring.head - self._easy) / (2 * self._half)
        return self._wait_ns(excess / _FULL_WAIT) if is_moving and excess > 0 else 0

    def message_wait_ns(self, now_ns: int, filled: float) -> int:
        """Return how long the sender of a message is not read; `filled` is the used part of their share."""
        return self._wait_ns(filled * 2 - 1) if filled > 0.5 and self._is_moving(now_ns) else 0

    def _is_moving(self, now_ns: int) -> bool:
        released = self._ring.released
        if released != self._released:
            self._released, self._moved_ns = released, now_ns
        return now_ns - self._moved_ns < STANDSTILL_NS

    def _wait_ns(self, part: float) -> int:
        self._debt_ns += int(self._max_wait_ns * min(1.0, part))
        if self._debt_ns < _TIMER_NS:
            return 0
        wait_ns, self._debt_ns = self._debt_ns, 0
        return min(wait_ns, self._max_wait_ns)

    def hold(self, paced: Paced, now_ns: int, wait_ns: int) -> None:
        """Leave a socket unread for so long, for the sake of recording."""
        self._count(wait_ns)
        paced.pause(BY_RECORDING)
        self._waiting.append((now_ns + wait_ns, paced))
        if len(self._waiting) == 1:
            self._call_later(wait_ns / 1e9, self._wake)

    def _wake(self) -> None:
        """Read on those whose time has come; they take turns."""
        waiting = self._waiting
        now_ns = time.monotonic_ns() + _TIMER_NS // 2
        while waiting and waiting[0][0] <= now_ns:
            waiting.popleft()[1].resume(BY_RECORDING)
        if waiting:
            self._call_later(max(_TIMER_NS, waiting[0][0] - now_ns) / 1e9, self._wake)
