"""Turns end in time, and after one step at least."""

import math

from storage.relational.upkeep.turn import Turn, WholeTurn


class Work:
    """So many items, taken in steps."""

    def __init__(self, items: int) -> None:
        self.left = items
        self.steps: list[int] = []

    async def take(self, most: int) -> int:
        self.steps.append(most)
        taken = min(most, self.left)
        self.left -= taken
        return taken


async def test_steps_go_on_until_nothing_is_left() -> None:
    """The last one finds nothing, or there is no room for it."""
    work = Work(25)
    assert await Turn(1000, math.inf, lambda: False).take(work.take, 10) == 25
    assert work.steps == [10, 10, 10, 10]
    work = Work(25)
    assert await Turn(12, math.inf, lambda: False).take(work.take, 10) == 12
    assert work.steps == [10, 2]


async def test_a_turn_ends_when_a_batch_waits_or_its_time_is_over() -> None:
    """One step is always done."""
    for turn in (Turn(1000, math.inf, lambda: True), Turn(1000, 0.0, lambda: False)):
        work = Work(25)
        assert await turn.take(work.take, 10) == 10
        assert turn.is_over


async def test_a_whole_turn_is_one_step() -> None:
    """Of all that it may take."""
    work = Work(25)
    turn = WholeTurn(20)
    assert await turn.take(work.take, 10) == 20
    assert work.steps == [20]
    assert turn.may_search
