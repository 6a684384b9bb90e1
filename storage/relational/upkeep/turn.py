"""The time of a slice: it ends when a batch waits for the connection, or after some seconds."""

import time
from collections.abc import Awaitable, Callable


class Turn:
    """One slice, of steps."""

    def __init__(self, max_items: int, seconds: float, is_wanted: Callable[[], bool]) -> None:
        """Begin a slice of up to `max_items`; once a batch waits (`is_wanted`), it ends after the
        current step.
        """
        self.max_items = max_items
        self._is_wanted = is_wanted
        self._ends_s = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        return self._is_wanted() or time.monotonic() >= self._ends_s

    @property
    def may_search(self) -> bool:
        """True if no batch waits."""
        return not self._is_wanted()

    def step_of(self, items: int) -> int:
        """Return the items of a step, given their usual number."""
        return items

    async def take(self, step: Callable[[int], Awaitable[int]], step_items: int) -> int:
        """Do steps of `step_items`, at least one, until nothing is left or the turn is over; return
        the number of items.
        """
        items = 0
        while items < self.max_items:
            taken = await step(min(self.step_of(step_items), self.max_items - items))
            items += taken
            if not taken or self.is_over:
                break

        return items


class WholeTurn(Turn):
    """A slice with a single step of each kind, for stores in which others do not wait for it."""

    def __init__(self, max_items: int) -> None:
        super().__init__(max_items, 0.0, lambda: False)

    def step_of(self, items: int) -> int:
        return self.max_items
