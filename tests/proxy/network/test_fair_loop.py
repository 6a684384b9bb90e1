"""The fair loop by itself: waiting connections take turns, share a bounded allowance, and survive
faults of others.
"""

import logging
from collections.abc import Callable

import pytest

from proxy.network.pacing import TURN_NS, TURN_STEPS, FairLoop


class Loop:
    """Calls what is due, one turn at a time, by a clock of its own."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.now_ns = 0
        self.due: list[Callable[[], None]] = []
        self.turns = FairLoop(self.due.append, lambda: self.now_ns)

    def turn(self) -> None:
        """Run one turn."""
        due = list(self.due)
        self.due.clear()
        for step in due:
            step()


class Worker:
    """Takes so much time a turn, for so many turns."""

    def __init__(
        self, loop: Loop, name: str, heard: list[str], ns: int = 0, turns: int = 1
    ) -> None:
        """Note its turns in `heard`."""
        self._loop = loop
        self._name = name
        self._heard = heard
        self._ns = ns
        self._left = turns

    def take_turn(self) -> None:
        """Take one."""
        self._heard.append(self._name)
        self._loop.now_ns += self._ns
        self._left -= 1
        if self._left:
            self._loop.turns.add(self)


def test_those_that_wait_take_turns_in_order() -> None:
    """Whoever has more comes after all that waited before, and who is added twice is heard once."""
    loop = Loop()
    heard = list[str]()
    first = Worker(loop, "a", heard, turns=2)
    for worker in (first, Worker(loop, "b", heard), first):
        loop.turns.add(worker)
    assert len(loop.due) == 1
    loop.turn()
    assert heard == ["a", "b"]
    loop.turn()
    assert heard == ["a", "b", "a"]
    assert loop.due == []


def test_all_together_have_one_allowance() -> None:
    """When the time of a turn is used up the rest waits for the next, however many they are."""
    loop = Loop()
    heard = list[str]()
    for number in range(6):
        loop.turns.add(Worker(loop, str(number), heard, ns=TURN_NS // 2))
    for expected in (2, 4, 6):
        loop.turn()
        assert len(heard) == expected
    assert heard == [str(number) for number in range(6)]


def test_few_are_heard_even_when_they_cost_nothing_here() -> None:
    """What a turn costs that only opens a socket is seen elsewhere: their number is bounded, too."""
    loop = Loop()
    heard = list[str]()
    for number in range(3 * TURN_STEPS):
        loop.turns.add(Worker(loop, str(number), heard))
    loop.turn()
    assert len(heard) == TURN_STEPS


def test_a_fault_in_one_turn_is_that_connections_alone(caplog: pytest.LogCaptureFixture) -> None:
    """The others are heard, and the log tells."""

    class Faulty:
        def take_turn(self) -> None:
            raise RuntimeError("of ours")

    loop = Loop()
    heard = list[str]()
    loop.turns.add(Faulty())
    loop.turns.add(Worker(loop, "a", heard))
    with caplog.at_level(logging.ERROR):
        loop.turn()
    assert heard == ["a"]
    assert "of ours" in caplog.text
