"""A reader by itself: every reason holds it, and its socket is read again only when nothing is in
hand.
"""

from collections.abc import Callable

import pytest

from proxy.network.pacing import BY_CLIENT, BY_TURN, BY_UPSTREAM, FairLoop, PacedReader
from proxy.process.version import BUILD

pytestmark = pytest.mark.skipif(
    BUILD == "compiled",
    reason="a compiled class has no heirs here; those it has in the data plane are tested",
)


class Reader(PacedReader):
    """Reads one piece a turn of those in hand."""

    def __init__(self, in_hand: int = 0) -> None:
        """Have so many pieces in hand."""
        self.due: list[Callable[[], None]] = []
        super().__init__(FairLoop(self.due.append))
        self.in_hand = in_hand
        self.is_read = True

    @property
    def _has_more(self) -> bool:
        return self.in_hand > 0

    def _read_in_hand(self) -> None:
        self.in_hand -= 1
        if self.in_hand:
            self.leave_rest(self.in_hand)

    def _stop_reading(self) -> None:
        self.is_read = False

    def _read_on(self) -> None:
        assert not self.in_hand, "what is in hand was overtaken"
        self.is_read = True

    def leave_rest(self, in_hand: int) -> None:
        """Wait for a turn."""
        self._await_turn(in_hand)

    def turn(self) -> None:
        """Let the loop run what is due."""
        due = list(self.due)
        self.due.clear()
        for step in due:
            step()


def test_every_reason_holds_it() -> None:
    """It reads on when the last of several reasons is gone, and not for one that it was never
    given.
    """
    reader = Reader()
    reader.pause(BY_CLIENT)
    reader.pause(BY_UPSTREAM)
    reader.resume(BY_TURN)
    reader.resume(BY_CLIENT)
    assert not reader.is_read
    reader.resume(BY_UPSTREAM)
    assert reader.is_read
    assert reader.due == []


def test_what_is_in_hand_comes_first() -> None:
    """A reader that may read on takes turns until nothing is in hand, and then reads its socket."""
    reader = Reader(in_hand=2)
    reader.pause(BY_CLIENT)
    reader.resume(BY_CLIENT)
    reader.turn()
    assert (reader.in_hand, reader.is_read) == (1, False)
    reader.turn()
    assert (reader.in_hand, reader.is_read) == (0, True)
    assert reader.due == []


def test_a_turn_is_left_out_while_the_other_side_takes_nothing() -> None:
    """The turn comes while it is held: it reads nothing, and waits again once the other side goes
    on.
    """
    reader = Reader(in_hand=1)
    reader.leave_rest(1)
    reader.pause(BY_UPSTREAM)
    reader.turn()
    assert (reader.in_hand, reader.is_read, reader.due) == (1, False, [])
    reader.resume(BY_UPSTREAM)
    assert not reader.is_read
    reader.turn()
    assert (reader.in_hand, reader.is_read) == (0, True)


def test_little_in_hand_does_not_stop_reading() -> None:
    """Where some may be in hand, the socket is read until it is that much."""
    reader = Reader(in_hand=2)
    reader.held_bytes = 2
    reader.leave_rest(1)
    assert reader.is_read
    reader.leave_rest(2)
    assert not reader.is_read
