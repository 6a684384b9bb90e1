"""A socket that is read only as fast as its other side takes the data, and within its turns (P23).

Each reason not to read is a bit. Invariant: a stopped socket is read again only when no reason is
left and no data of it is in hand, so that nothing overtakes waiting data.
"""

from abc import ABC, abstractmethod

from proxy.network.fair_loop import BY_TURN, FairLoop


class PacedReader(ABC):
    """One side of an exchange, which waits for the other side and for its turns."""

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
        """Whether data in hand can be processed."""

    @abstractmethod
    def _read_in_hand(self) -> None:
        """Process some of the data in hand."""

    @abstractmethod
    def _stop_reading(self) -> None:
        """Stop reading the socket; idempotent."""

    @abstractmethod
    def _read_on(self) -> None:
        """Resume reading the socket."""

    def pause(self, reason: int) -> None:
        """Stop reading for one of the `BY_` reasons."""
        if not self._paused:
            self._stop_reading()
        self._paused |= reason

    def resume(self, reason: int) -> None:
        """Remove a reason; read on if none is left."""
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
