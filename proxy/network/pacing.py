"""How much of a connection is read before others have their turn, and before its data is taken
(P23).
"""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

log = logging.getLogger(__name__)

TURN_BYTES: Final = 65536
"""Size from which a read is the last of its socket in a turn; smaller reads have emptied the
socket.
"""
TURN_NS: Final = 250_000
"""Time that all waiting connections may take together per turn of the loop, which costs about 20 µs
itself.
"""
TURN_STEPS: Final = 16
"""Number of connections served per turn: `TURN_NS` does not measure the reading of their sockets.
"""

HELD_BYTES: Final = 1 << 18
"""Bytes that a TLS connection may have in hand before it is not read any more: uvloop loses data of
an unread connection when its peer leaves.
"""

BY_CLIENT, BY_UPSTREAM, BY_UNSENT, BY_TURN, BY_FRAMES, BY_RECORDING = 1, 2, 4, 8, 16, 32
"""Reasons not to read a socket: the client sent enough ahead, or takes no more data; the upstream
takes no more, or does not exist yet; the socket had its turn; its WebSocket frames are not all
parsed; the ring is filling.
"""


class TurnTaker(Protocol):
    """A connection with work in hand."""

    def take_turn(self) -> None:
        """Do a bounded part of the work, and call `add` again for the rest."""


def _next_turn(step: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(step)


class FairLoop:
    """The connections of one worker that wait for their turn: bounds the work for one connection
    before others are served.

    A socket returns as much as the loop reads at once, and a loop may read one socket many times in
    a row: uvloop 32 × 256 KB. A connection that gets more than its share stops reading, keeps the
    rest in hand and waits here, while the loop serves all other sockets. Waiting connections share
    one allowance per turn of the loop, so many of them delay others no more than one. Invariant:
    each connection waits at most once, in order of arrival.
    """

    __slots__ = ("_clock_ns", "_is_due", "_soon", "_waiting")

    def __init__(
        self,
        soon: Callable[[Callable[[], None]], None] = _next_turn,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`soon` schedules a call in the loop's next turn."""
        self._soon = soon
        self._clock_ns = clock_ns
        self._waiting: OrderedDict[TurnTaker, None] = OrderedDict()
        self._is_due = False

    def apart(self) -> "FairLoop":
        """Return a second loop of turns on the same event loop, with an allowance of its own."""
        return FairLoop(self._soon, self._clock_ns)

    def add(self, waiting: TurnTaker) -> None:
        """Schedule a turn for a connection; idempotent."""
        self._waiting[waiting] = None
        if not self._is_due:
            self._is_due = True
            self._soon(self._run)

    def _run(self) -> None:
        waiting = self._waiting
        end_ns = self._clock_ns() + TURN_NS
        for _ in range(min(len(waiting), TURN_STEPS)):
            first, _ = waiting.popitem(last=False)
            try:
                first.take_turn()
            except Exception:
                # A fault of ours in one connection must not end the turns of the others.
                log.exception("unexpected error in a connection's turn")

            if self._clock_ns() >= end_ns:
                break

        self._is_due = bool(waiting)
        if waiting:
            self._soon(self._run)


class PacedReader(ABC):
    """One side of an exchange, which is read only as fast as its other side takes the data, and
    within its turns.

    Each reason not to read is a bit. Invariant: a stopped socket is read again only when no reason
    is left and no data of it is in hand, so that nothing overtakes waiting data.
    """

    __slots__ = ("_paused", "_turns", "held_bytes")

    def __init__(self, turns: FairLoop) -> None:
        self._turns = turns
        self._paused = 0
        """The current `BY_` reasons not to read."""
        self.held_bytes = 0
        """Bytes that may be in hand before the socket is not read."""

    @property
    @abstractmethod
    def _has_more(self) -> bool:
        """Return True if received data in hand can be processed."""

    @abstractmethod
    def _read_in_hand(self) -> None:
        """Process some of the received data in hand."""

    @abstractmethod
    def _stop_reading(self) -> None:
        """Stop reading the socket; idempotent."""

    @abstractmethod
    def _read_on(self) -> None:
        """Resume reading the socket."""

    def pause(self, reason: int) -> None:
        """Stop reading the socket for one of the `BY_` reasons."""
        if not self._paused:
            self._stop_reading()
        self._paused |= reason

    def resume(self, reason: int) -> None:
        """Remove a reason to pause; read the socket again if no other reason is left."""
        if self._paused & reason:
            self._paused &= ~reason
            if not self._paused & ~BY_TURN and (self._paused or self._has_more):
                self._turns.add(self)
            elif not self._paused:
                self._read_on()

    def _await_turn(self, in_hand: int) -> None:
        """Leave the rest, in hand and in the socket, for another turn."""
        if in_hand >= self.held_bytes:
            self.pause(BY_TURN)
        self._turns.add(self)

    def take_turn(self) -> None:
        """Process data in hand, then read the socket again; wait if the other side takes no data."""
        if self._paused & ~BY_TURN:
            return
        self._paused = 0
        self._read_in_hand()
        if not self._paused and not self._has_more:
            self._read_on()
