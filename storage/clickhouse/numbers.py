"""Numbers of records (`seq`): milliseconds of the server's clock, then the lane of one writer. Pure
but for time.

Strategy: a writer continues from its last number or from the server's clock as last read, whichever
is later. A lane gives one number per millisecond; with several lanes, records take them in turn. A
batch never crosses midnight, so its rows are one part of one partition.

Invariant: the numbers of a writer rise within a batch and from batch to batch, and no two writers
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
"""Size of the range of numbers of one partition."""


def milliseconds_of(seq: int) -> int:
    return seq >> LANE_BITS


def first_of(milliseconds: int) -> int:
    """Return the lowest row number that a millisecond since `EPOCH_MS` can have."""
    return milliseconds << LANE_BITS


def number_at(at_us: int) -> int:
    """Return the least number of a moment, given in Unix µs."""
    return first_of(at_us // 1000 - EPOCH_MS)


class Numbers:
    """Generator of the numbers of one writer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Make a generator; it needs lanes and the server's clock (`hear`) before it gives numbers.

        Args:
            clock: Monotonic seconds.
        """
        self._clock = clock
        self._server_ms = 0
        self._heard_s = 0.0
        self.lanes: tuple[int, ...] = ()
        """The writer's lanes, rising."""
        self.last_ms = 0
        """Millisecond of the newest number."""
        self.lead_ms = 0
        """Offset of the next numbers ahead of the clock, for a busy server whose inserts take
        longer than the delay.
        """

    def hear(self, server_ms: int) -> None:
        """Store the time that the server reported, in milliseconds since `EPOCH_MS`, to estimate
        its clock from then on.
        """
        self._server_ms, self._heard_s = server_ms, self._clock()

    @property
    def server_ms(self) -> int:
        """Estimate of the server's clock, ahead of it only by drift."""
        return self._server_ms + int((self._clock() - self._heard_s) * 1000)

    @property
    def ahead_ms(self) -> int:
        """Return by how many milliseconds the next row number is ahead of the server's clock; 0 if
        it is not ahead.
        """
        return max(0, self.last_ms + 1 - self.server_ms)

    def at(self, milliseconds: int) -> int:
        """Return a number of a given millisecond, for a row outside of batches."""
        self.last_ms = max(self.last_ms, milliseconds)
        return first_of(milliseconds) | self.lanes[0]

    def take(self, count: int) -> Sequence[int]:
        """Reserve `count` row numbers for a batch and return them."""
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
