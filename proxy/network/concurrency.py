"""Estimates how many connections an upstream serves at once, and how long idle ones may be kept
(P27).

Python's `http.server` and many development servers serve one connection at a time, others one per
thread. There an idle connection of ours blocks everyone behind it. Until two connections were seen
served at the same time, idle ones are kept for half a second only. If a new connection gets no
answer while idle ones fill the observed concurrency, they are closed, and from then on none becomes
idle while another waits. Invariant: an upstream is only credited with concurrency that it has
shown.
"""

from typing import Final

UNPROVEN_IDLE_NS: Final = 500_000_000
"""Time that an idle connection is kept before the upstream has served two at the same time."""

SILENT_NS: Final = 250_000_000
"""Silence of a new connection after which idle ones are suspected of blocking it."""


class Concurrency:
    """The observed concurrency of one upstream."""

    __slots__ = ("is_wary", "seen")

    def __init__(self) -> None:
        self.seen = 0
        """Largest number of open connections that had all been answered."""
        self.is_wary = False
        """Whether idle connections were once suspected of blocking others, and no more concurrency
        was seen since.
        """

    def served(self, answered: int) -> None:
        """Note that `answered` open connections have been answered, the newest for the first
        time just now.
        """
        if answered > self.seen:
            self.seen = answered
            self.is_wary = False

    def may_hold(self, answered: int) -> bool:
        """Whether this many open connections may be all that the upstream serves at once."""
        return answered >= self.seen

    def idle_ns(self, keep_alive_ns: int) -> int:
        """Return how long to keep an idle connection that may be kept for `keep_alive_ns`."""
        if self.seen > 1:
            return keep_alive_ns
        return min(keep_alive_ns, UNPROVEN_IDLE_NS)
