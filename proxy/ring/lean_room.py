"""The memory of a lean ring: no more of it than what it holds, and a step.

A ring is allocated whole, since a page that is not really there when it is written to kills the
process. Strategy: a worker that has retired, to which few records will still come, gives the free
pages back, and takes some again before it writes to them; one that starts beside rings of the last
run begins so. Where there is no room the ring counts as full.
"""

import os
from typing import Final

from proxy.ring.segment import Segment
from proxy.ring.segment_layout import PAGE, RELEASED

STEP_BYTES: Final = 256 * 1024
"""By how much it grows at once: a system call or two."""


class LeanRoom:
    """The pages of one ring, which its producer has."""

    __slots__ = ("_segment",)

    def __init__(self, segment: Segment) -> None:
        """Begin with all of them.

        Raises:
            OSError: a sandbox refuses the call by which pages are had again; the ring is whole then.
        """
        os.posix_fallocate(segment.fd, 0, PAGE)  # of the header, which is there
        self._segment = segment

    def shrink(self, head: int) -> int:
        """Give back what holds nothing; return the offset up to which there are pages behind
        `head`.
        """
        edge = -(-head // PAGE) * PAGE
        self._segment.give_back_ring(self._segment.cells[RELEASED], edge)
        return edge

    def grow(self, head: int, end: int, limit: int) -> int:
        """Have pages from `head` to `end` and a step further, but not beyond `limit`; return up to
        where; -1: none.

        What was read since is given back.
        """
        edge = min(limit, -(-end // STEP_BYTES) * STEP_BYTES)
        try:
            self._segment.take_back_ring(head, edge)
        except OSError:
            return -1

        self._segment.give_back_ring(self._segment.cells[RELEASED], edge)
        return edge
