"""A rate per second with a second's burst: how much of something one connection may have now (a
token bucket). Pure.
"""

from typing import Final

SECOND_NS: Final = 1_000_000_000


class Rate:
    """Grants so many a second; unused grants last for one second."""

    __slots__ = ("_at_ns", "_credit", "_per_s")

    def __init__(self, per_s: int, now_ns: int) -> None:
        """Begin with a second's worth; 0 grants nothing."""
        self._per_s = per_s
        self._at_ns = now_ns
        self._credit = per_s * SECOND_NS
        """In billionths, so that no clock is too fine."""

    def room(self, now_ns: int) -> int:
        """Return how many may be taken at this moment."""
        self._credit = min(
            self._credit + (now_ns - self._at_ns) * self._per_s, self._per_s * SECOND_NS
        )
        self._at_ns = now_ns
        return self._credit // SECOND_NS

    def take(self, count: int) -> None:
        """Take some of the room."""
        self._credit -= count * SECOND_NS
