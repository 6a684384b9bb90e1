"""A socket that is read as fast as its other side takes what comes, and no further than its turns
allow (P23).

Strategy: each reason not to read is a bit; what reading means is its connection's. Invariant: a
socket that was stopped is read again only when no reason is left and nothing of it is in hand, so
that nothing overtakes what waits.
"""

from abc import ABC, abstractmethod

from proxy.network.fair_loop import BY_TURN, FairLoop


class PacedReader(ABC):
    """A side of an exchange that waits for the other side and for its turns."""

    __slots__ = ("_paused", "_turns", "held_bytes")

    def __init__(self, turns: FairLoop) -> None:
        self._turns = turns
        self._paused = 0
        """The `BY_` reasons why nothing is read."""
        self.held_bytes = 0
        """How much may be in hand before the socket is not read."""

    @property
    @abstractmethod
    def _has_more(self) -> bool:
        """Whether something is in hand that can be read on."""

    @abstractmethod
    def _read_in_hand(self) -> None:
        """Read some of what is in hand."""

    @abstractmethod
    def _stop_reading(self) -> None:
        """Read the socket no more; doing it twice is harmless."""

    @abstractmethod
    def _read_on(self) -> None:
        """Read the socket again."""

    def pause(self, reason: int) -> None:
        """Read no more, for one of the `BY_` reasons."""
        if not self._paused:
            self._stop_reading()
        self._paused |= reason

    def resume(self, reason: int) -> None:
        """Read on if no other reason is left."""
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
        """Go on with what is in hand, then read the socket again; another side that takes nothing
        comes first.
        """
        if self._paused & ~BY_TURN:
            return
        self._paused = 0
        self._read_in_hand()
        if not self._paused and not self._has_more:
            self._read_on()
