"""The time that retention believes: the wall clock, unless it is ahead of what its own records
tell. Pure.

Strategy: believed time goes on with the clock that no one can set (`CLOCK_BOOTTIME`). A wall clock
that is behind it is believed at once, for that deletes nothing; one that is ahead must first hold,
without being set again, for as long as it is ahead, a day at most. So a clock that jumps by years
and comes back costs no record, and a sidecar that was off for a month begins to delete a day after
its start. Without any record there is nothing to delete, and no time is believed.
"""

import time
from collections.abc import Callable
from typing import Final

SLACK_US: Final = 5_000_000
"""How far two clocks may part between two looks: one of them is slewed."""
MAX_WAIT_US: Final = 86_400_000_000
"""How long a clock has to hold at most."""


def boot_us() -> int:
    """Read the time since the machine was started, sleep included, in µs."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


class TrustedClock:
    """Believed Unix time, µs; asked now and then, by one who knows when its newest record was made."""

    def __init__(self, wall_us: Callable[[], int], boot_us: Callable[[], int] = boot_us) -> None:
        self._wall_us = wall_us
        self._boot_us = boot_us
        self._believed_us: int | None = None
        self._looked_at_us = 0
        self._held_since_us = 0
        self._held_offset_us = 0
        self.ahead_us = 0
        """How far the wall clock is ahead of what is believed."""

    @property
    def is_known(self) -> bool:
        return self._believed_us is not None

    def resume(self, known_us: int) -> None:
        """Begin with a time that is known to have been, such as that of a record."""
        wall = self._wall_us()
        boot = self._boot_us()
        self._believed_us = min(known_us, wall)
        self._looked_at_us = boot
        self._held_since_us = boot
        self._held_offset_us = wall - boot

    def now_us(self) -> int:
        """Return the believed time; `resume` was called before."""
        assert self._believed_us is not None, "bug: a clock that does not know where to begin"
        wall = self._wall_us()
        boot = self._boot_us()
        believed = self._believed_us + boot - self._looked_at_us
        offset = wall - boot
        if abs(offset - self._held_offset_us) > SLACK_US:
            self._held_since_us = boot
        # Slewing moves it on without an end to its holding.
        self._held_offset_us = offset
        ahead = wall - believed
        if ahead <= SLACK_US or boot - self._held_since_us >= min(ahead, MAX_WAIT_US):
            believed = wall
            ahead = 0
        self._believed_us = believed
        self._looked_at_us = boot
        self.ahead_us = ahead
        return believed
