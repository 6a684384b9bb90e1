"""Numbers of records: milliseconds of the server's clock, and below them a lane that one writer
has. Pure but for time.

Strategy: a writer counts on from its last number, or from the server's clock as it was last heard
of, whichever is later. A lane gives one number a millisecond; with several of them records take
turns. A batch never crosses midnight: its rows are one part of one partition.

Invariant: numbers of one writer rise, along a batch and from batch to batch, and no two writers
have the same.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from storage.clickhouse.engine.server import EPOCH_MS

LANE_BITS: Final = 12
LANES: Final = 1 << LANE_BITS
DAY_MS: Final = 86_400_000
DAY: Final = DAY_MS << LANE_BITS
"""How many numbers a partition has."""


def milliseconds_of(seq: int) -> int:
    return seq >> LANE_BITS


def first_of(milliseconds: int) -> int:
    """Return the least number of a millisecond."""
    return milliseconds << LANE_BITS


def number_at(at_us: int) -> int:
    """Return the number of a moment of Unix time."""
    return first_of(at_us // 1000 - EPOCH_MS)


class Numbers:
    """The numbers of one writer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Make it; it gives numbers when it has lanes, and has heard of the server's clock.

        Args:
            clock: Monotonic seconds.
        """
        self._clock = clock
        self._server_ms = 0
        self._heard_s = 0.0
        self.lanes: tuple[int, ...] = ()
        """Rising."""
        self.last_ms = 0
        """Of the newest number that was given."""
        self.lead_ms = 0
        """How far ahead of the clock the next ones are: inserts to a busy server take longer than
        the delay.
        """

    def hear(self, server_ms: int) -> None:
        """Note the server's clock."""
        self._server_ms, self._heard_s = server_ms, self._clock()

    @property
    def server_ms(self) -> int:
        """The server's clock by now, never ahead of it but for drift."""
        return self._server_ms + int((self._clock() - self._heard_s) * 1000)

    @property
    def ahead_ms(self) -> int:
        """How far the next number is ahead of the server's clock; 0 when it is not."""
        return max(0, self.last_ms + 1 - self.server_ms)

    def at(self, milliseconds: int) -> int:
        """Give a number of some millisecond, which is not one of a batch."""
        self.last_ms = max(self.last_ms, milliseconds)
        return first_of(milliseconds) | self.lanes[0]

    def take(self, count: int) -> Sequence[int]:
        """Give the next numbers of a batch."""
        lanes = self.lanes
        first_ms = max(self.last_ms + 1, self.server_ms + self.lead_ms)
        length_ms = -(-count // len(lanes))
        midnight_ms = (first_ms + length_ms - 1) // DAY_MS * DAY_MS
        if first_ms < midnight_ms:
            first_ms = midnight_ms
        self.last_ms = first_ms + length_ms - 1
        if len(lanes) == 1:
            first = first_of(first_ms) | lanes[0]
            return range(first, first + (count << LANE_BITS), LANES)

        return [
            first_of(first_ms + place // len(lanes)) | lanes[place % len(lanes)]
            for place in range(count)
        ]
