"""What searches read of the index of words: the segments that count, and the parts of them that words are in."""

from collections.abc import Sequence
from typing import Final

from storage.clickhouse.link import LIMIT_S, Link
from storage.clickhouse.upkeep.segments import Noted
from storage.relational.search.holders import Segment, first_and_part, part_key
from storage.relational.slices import Range

_AT_ONCE: Final = 1000
"""Segments that are asked for in one statement."""
_OFFSETS: Final = "SELECT made, offsets FROM text_segments WHERE what = 'done' AND made IN $1"
_PARTS: Final = "SELECT made, part, data FROM text_parts WHERE part IN $1 AND made IN $2"


class KnownOffsets:
    """Where the cells of segments begin: it never changes, and is read once, 2 KB a segment."""

    def __init__(self) -> None:
        self._known: dict[int, Sequence[int]] = {}

    async def segments(self, link: Link, counting: Sequence[Noted], within: Range) -> list[Segment]:
        """Return the segments that reach into a range, in order; others than those that count are forgotten."""
        made = {one.made for one in counting}
        known = {number: offsets for number, offsets in self._known.items() if number in made}
        lacking = sorted(made - known.keys())
        for start in range(0, len(lacking), _AT_ONCE):
            known.update(await link.fetch(_OFFSETS, (lacking[start : start + _AT_ONCE],), limit_s=LIMIT_S))
        self._known = known  # of reads at once the last one's, which has all of them
        return [
            Segment(one.rows, known[one.made])
            for one in counting
            if one.first_seq <= within.last and one.last_seq >= within.first and one.made in known
        ]


async def read_parts(link: Link, counting: Sequence[Noted], keys: Sequence[int]) -> dict[int, bytes]:
    """Read parts of segments by their keys; one that is not there, or not yet, is left out."""
    made_of = {one.first_seq: one.made for one in counting}
    wanted = [(made_of[first], part) for first, part in map(first_and_part, keys) if first in made_of]
    firsts = {made: first for first, made in made_of.items()}
    parts, made = sorted({part for _, part in wanted}), sorted({number for number, _ in wanted})
    found: dict[int, bytes] = {}
    for start in range(0, len(made), _AT_ONCE):
        rows = await link.fetch(_PARTS, (parts, made[start : start + _AT_ONCE]), limit_s=LIMIT_S)
        found.update({part_key(firsts[number], part): bytes(data) for number, part, data in rows})
    return found
