"""How many connections an upstream was seen to serve at once, and what follows for idle ones (P27).
Pure.

Python's `http.server` and many development servers serve one connection at a time, others one per
thread. There, an idle connection that we keep blocks all that wait behind it, our own requests and
those of others. Strategy: until two connections were seen served side by side, idle ones are kept
for half a second only. When a new connection gets no answer while the idle ones fill the
concurrency seen so far, they are closed, and from then on none becomes idle while another waits.
The invariant: an upstream is credited only with the concurrency it has shown.
"""

from typing import Final

UNPROVEN_IDLE_NS: Final = 500_000_000
"""How long an idle connection is kept while the upstream has not shown that it serves others beside
it.
"""

SILENT_NS: Final = 250_000_000
"""How long a new connection may get no answer before idle ones are suspected of holding it."""


class Concurrency:
    """What one upstream has shown."""

    __slots__ = ("is_wary", "seen")

    def __init__(self) -> None:
        self.seen = 0
        """The most connections that had each been answered while all of them were open."""
        self.is_wary = False
        """Whether idle connections were once suspected of holding others, and nothing more was
        shown since.
        """

    def served(self, answered: int) -> None:
        """Note that so many open connections have been answered, the last of them just now for the
        first time.
        """
        if answered > self.seen:
            self.seen = answered
            self.is_wary = False

    def may_hold(self, answered: int) -> bool:
        """Whether so many open connections may be all that the upstream serves at once."""
        return answered >= self.seen

    def idle_ns(self, keep_alive_ns: int) -> int:
        """Return how long to keep an idle connection that might be kept for `keep_alive_ns`."""
        if self.seen > 1:
            return keep_alive_ns
        return min(keep_alive_ns, UNPROVEN_IDLE_NS)
