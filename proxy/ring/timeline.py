"""The arrival times of an event stream's chunks, in bounded space."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

MAX_TIMELINE_ENTRIES: Final = 512
"""Entries after which every second one is dropped, again and again: a day-long event stream keeps
its shape.
"""
FIRST_CHUNKS: Final = 128
"""Entries that always stay. Output begins within them, so the time of its first chunk is exact."""


class Timeline(list[tuple[int, int]]):
    """Body bytes up to and including the chunk, and µs since the exchange began; both rising."""

    __slots__ = ("_longest_gap_us", "_whole_from")

    def __init__(self, entries: Iterable[tuple[int, int]] = ()) -> None:
        super().__init__(entries)
        self._longest_gap_us = 0
        self._whole_from = 0
        """Index from which no chunk between two entries was dropped."""

    @property
    def is_thinned(self) -> bool:
        return self._whole_from > 0

    @property
    def longest_gap_us(self) -> int:
        """Return the longest silence between two chunks, including chunks whose entries were
        dropped.
        """
        times = (at_us for _, at_us in self[self._whole_from :])
        return max(
            self._longest_gap_us,
            max((later - earlier for earlier, later in pairwise(times)), default=0),
        )

    def thin(self) -> None:
        """Drop every second entry except the first ones and the last. Later gaps between entries
        may then hide silences.
        """
        self._longest_gap_us = self.longest_gap_us
        del self[FIRST_CHUNKS:-1:2]
        self._whole_from = len(self) - 1


def note_chunk(timeline: Timeline, size_bytes: int, at_us: int) -> None:
    """Append one chunk of an event stream, thinning by halves when the timeline is full."""
    if len(timeline) >= MAX_TIMELINE_ENTRIES:
        timeline.thin()
    timeline.append((size_bytes, at_us))
