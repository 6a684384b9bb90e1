"""The time that retention believes: the wall clock, unless it is ahead of the store's own records.
Pure.

Strategy: believed time advances with a clock that cannot be set (`CLOCK_BOOTTIME`). A wall clock
behind it is believed at once, since that deletes nothing. One that is ahead must first run as long
as it is ahead, up to a day, without being set again. So a clock that jumps by years and comes back
costs no record, and a sidecar that was off for a month begins to delete a day after its start. A
store without records has nothing to delete, and no time is believed.
"""

import time
from collections.abc import Callable
from typing import Final

SLACK_US: Final = 5_000_000
"""How far two clocks may drift apart between two readings; one of them is slewed."""
MAX_WAIT_US: Final = 86_400_000_000
"""Longest time that a clock ahead must run before it is believed."""


def boot_us() -> int:
    """Read the time since the machine was started, sleep included, in µs."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


class TrustedClock:
    """Believed Unix time, µs. Its owner knows when the newest record was made, and reads it now and
    then.
    """

    def __init__(self, wall_us: Callable[[], int], boot_us: Callable[[], int] = boot_us) -> None:
        self._wall_us = wall_us
        self._boot_us = boot_us
        self._believed_us: int | None = None
        self._looked_at_us = 0
        self._held_since_us = 0
        self._held_offset_us = 0
        self.ahead_us = 0
        """How far the wall clock is ahead of the believed time."""

    @property
    def is_known(self) -> bool:
        return self._believed_us is not None

    def resume(self, known_us: int) -> None:
        """Start from a time that is known to have passed, such as that of a record."""
        wall = self._wall_us()
        boot = self._boot_us()
        self._believed_us = min(known_us, wall)
        self._looked_at_us = boot
        self._held_since_us = boot
        self._held_offset_us = wall - boot

    def now_us(self) -> int:
        """Return the believed time. Call `resume` first."""
        assert self._believed_us is not None, "bug: a clock that does not know where to begin"
        wall = self._wall_us()
        boot = self._boot_us()
        believed = self._believed_us + boot - self._looked_at_us
        offset = wall - boot
        if abs(offset - self._held_offset_us) > SLACK_US:
            self._held_since_us = boot
        # A slewed clock still counts as not having been set.
        self._held_offset_us = offset
        ahead = wall - believed
        if ahead <= SLACK_US or boot - self._held_since_us >= min(ahead, MAX_WAIT_US):
            believed = wall
            ahead = 0
        self._believed_us = believed
        self._looked_at_us = boot
        self.ahead_us = ahead
        return believed
