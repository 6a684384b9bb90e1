"""The memory of a lean ring: only the pages in use, and one step more.

A ring is normally allocated as a whole, because writing to a page that cannot be allocated kills
the process. Strategy: a retired worker, which will add few records, gives free pages back and
allocates pages again before it writes to them. A worker that starts next to rings of the last run
begins this way. If no page can be allocated, the ring counts as full.
"""

import os
from typing import Final

from proxy.ring.segment import Segment
from proxy.ring.segment_layout import PAGE, RELEASED

STEP_BYTES: Final = 256 * 1024
"""Bytes allocated at once, with one or two system calls."""


class LeanRoom:
    """The pages of one ring, allocated on demand by its producer."""

    __slots__ = ("_segment",)

    def __init__(self, segment: Segment) -> None:
        """Begin with all pages allocated.

        Raises:
            OSError: a sandbox refuses the system call that allocates pages; the ring stays whole.
        """
        os.posix_fallocate(segment.fd, 0, PAGE)  # the header's page, which is allocated already
        self._segment = segment

    def shrink(self, head: int) -> int:
        """Free the unused pages; return the offset up to which pages after `head` are allocated."""
        edge = -(-head // PAGE) * PAGE
        self._segment.give_back_ring(self._segment.cells[RELEASED], edge)
        return edge

    def grow(self, head: int, end: int, limit: int) -> int:
        """Allocate pages from `head` to `end` and one step further, but not beyond `limit`.

        Pages read since then are freed. Returns the end of the allocated part, -1 on failure.
        """
        edge = min(limit, -(-end // STEP_BYTES) * STEP_BYTES)
        try:
            self._segment.take_back_ring(head, edge)
        except OSError:
            return -1

        self._segment.give_back_ring(self._segment.cells[RELEASED], edge)
        return edge
