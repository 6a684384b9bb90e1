"""What searches read of the index of words: the segments that count, and the parts of them that words are in."""

from collections.abc import Sequence

from storage.clickhouse.link import Link
from storage.clickhouse.upkeep import segments
from storage.clickhouse.upkeep.segments import Noted, read_offsets
from storage.relational.search.holders import Segment, first_and_part, part_key
from storage.relational.slices import Range
from storage.search.index.segment import packed_offsets


class KnownOffsets:
    """Where the cells of segments begin: it never changes, and is read once."""

    def __init__(self) -> None:
        self._known: dict[int, bytes] = {}

    async def segments(self, link: Link, counting: Sequence[Noted], within: Range) -> list[Segment]:
        """Return the segments that reach into a range, in order; others than those that count are forgotten."""
        made = {one.made for one in counting}
        known = {number: offsets for number, offsets in self._known.items() if number in made}
        read = await read_offsets(link, sorted(made - known.keys()))
        known.update((number, packed_offsets(offsets)) for number, offsets in read.items())
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
    made, parts = sorted({number for number, _ in wanted}), sorted({part for _, part in wanted})
    found = await segments.read_parts(link, made, parts)
    return {part_key(firsts[number], part): data for (number, part), data in found.items()}
