"""The chunk timeline of event streams: when how much had arrived, at bounded cost (capture.md, rule 3). Pure."""

from typing import Final

MAX_ENTRIES: Final = 512
"""Then every second entry is dropped, again and again: a day-long stream keeps its shape."""

Timeline = list[tuple[int, int]]
"""(bytes of body up to and including the chunk, µs since the exchange began), rising."""


def note_chunk(timeline: Timeline, size_bytes: int, at_us: int) -> None:
    """Append one chunk, thinning by halves when the timeline is full."""
    if len(timeline) >= MAX_ENTRIES:
        del timeline[1::2]
    timeline.append((size_bytes, at_us))
