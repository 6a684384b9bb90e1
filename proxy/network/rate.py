"""A token bucket: a rate per second with a burst of one second."""

from typing import Final

SECOND_NS: Final = 1_000_000_000


class Rate:
    """Grants a number of units per second; unused ones last for one second."""

    __slots__ = ("_at_ns", "_credit", "_per_s")

    def __init__(self, per_s: int, now_ns: int) -> None:
        """Begin with a full second's units; a rate of 0 grants none."""
        self._per_s = per_s
        self._at_ns = now_ns
        self._credit = per_s * SECOND_NS
        """Credit in billionths of a unit, so that short intervals are not rounded away."""

    def room(self, now_ns: int) -> int:
        """Return how many units the rate allows to use now."""
        self._credit = min(
            self._credit + (now_ns - self._at_ns) * self._per_s, self._per_s * SECOND_NS
        )
        self._at_ns = now_ns
        return self._credit // SECOND_NS

    def take(self, count: int) -> None:
        """Use up some of the units that the rate allows."""
        self._credit -= count * SECOND_NS
