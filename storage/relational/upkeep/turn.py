"""How long a slice may go on: until a batch waits for the connection, or its time is over."""

import time
from collections.abc import Awaitable, Callable


class Turn:
    """One slice, of steps."""

    def __init__(self, max_items: int, seconds: float, is_wanted: Callable[[], bool]) -> None:
        """Begin a slice of so many items at most; it ends with the step it is at once a batch waits
        (`is_wanted`).
        """
        self.max_items = max_items
        self._is_wanted = is_wanted
        self._ends_s = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        return self._is_wanted() or time.monotonic() >= self._ends_s

    @property
    def may_search(self) -> bool:
        """Whether no batch waits."""
        return not self._is_wanted()

    def step_of(self, items: int) -> int:
        """Return how many items a step has that has so many as a rule."""
        return items

    async def take(self, step: Callable[[int], Awaitable[int]], step_items: int) -> int:
        """Do steps of so many items, one at least, until none is left or the turn is over; returns
        how many.
        """
        items = 0
        while items < self.max_items:
            taken = await step(min(self.step_of(step_items), self.max_items - items))
            items += taken
            if not taken or self.is_over:
                break

        return items


class WholeTurn(Turn):
    """A slice that is one step of each kind, where others do not wait for it."""

    def __init__(self, max_items: int) -> None:
        super().__init__(max_items, 0.0, lambda: False)

    def step_of(self, items: int) -> int:
        return self.max_items
