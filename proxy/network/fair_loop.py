"""Fairness among connections: how much of one connection's work a worker does before it serves the
others (P23).

A socket hands over as much as the loop reads at once, and a loop reads one socket many times over:
uvloop 32 × 256 KB. A connection that gets more than its share stops reading, keeps the rest in hand
and waits here; the loop serves all other sockets in between. The waiting ones share one allowance
per turn of the loop, so many of them cost the others no more than one.

Invariant: every connection waits at most once, and each that waits comes next in the order of its
arrival.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

log = logging.getLogger(__name__)

TURN_BYTES: Final = 65536
"""A read from this size on is the last of its socket in this turn; smaller ones have emptied the
socket.
"""
TURN_NS: Final = 250_000
"""What all that wait may take together in one turn of the loop, which costs some 20 µs by itself.
"""
TURN_STEPS: Final = 16
"""The same as a number of connections: reading their sockets is work that `TURN_NS` does not
measure.
"""

HELD_BYTES: Final = 1 << 18
"""What a connection over TLS may have in hand before it is not read: what uvloop holds of a
connection that is not read is lost when its peer leaves.
"""

BY_CLIENT, BY_UPSTREAM, BY_UNSENT, BY_TURN, BY_FRAMES, BY_RECORDING = 1, 2, 4, 8, 16, 32
"""Why a socket is not read: the client sent enough ahead, or takes no more; the upstream takes no
more; there is none yet; the socket had its turn; its WebSocket frames are not all read; the ring is
filling.
"""


class TurnTaker(Protocol):
    """What has work in hand."""

    def take_turn(self) -> None:
        """Do a bounded piece of it, and wait again for the rest."""


def _next_turn(step: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(step)


class FairLoop:
    """The connections of one worker that wait for their turn."""

    __slots__ = ("_clock_ns", "_is_due", "_soon", "_waiting")

    def __init__(
        self,
        soon: Callable[[Callable[[], None]], None] = _next_turn,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Call `soon` for a call in the loop's next turn."""
        self._soon = soon
        self._clock_ns = clock_ns
        self._waiting: OrderedDict[TurnTaker, None] = OrderedDict()
        self._is_due = False

    def apart(self) -> "FairLoop":
        """Return a second one on the same event loop, with an allowance of its own."""
        return FairLoop(self._soon, self._clock_ns)

    def add(self, waiting: TurnTaker) -> None:
        """Give it a turn later; idempotent."""
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
