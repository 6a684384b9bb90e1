"""Segments hold what their cells have; that nothing is missing in them is in `test_segment`."""

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from storage.search.index.merging import merged
from storage.search.index.segment import PARTS
from storage.zstd import zstd

CELLS = st.lists(st.sets(st.integers(0, 0xFFFFFFFF), max_size=20), min_size=1, max_size=20)
"""Terms above their rows."""


@given(CELLS, st.booleans())
def test_parts_list_hashes_cells_and_rows(cells: list[set[int]], are_many: bool) -> None:
    """Each hash with the number of each cell that has it, in order, and its rows."""
    if are_many:
        cells = cells * (300 // len(cells) + 1)
    more = max(0, (len(cells) - 1).bit_length() - 8)
    expected: list[list[tuple[int, int]]] = [[] for _ in range(PARTS)]
    for number, cell in enumerate(cells):
        for each in cell:
            key = (each & 0x7FFFFF) >> 8 << 8 + more | number
            expected[each >> 23].append((key, each & 0xFF))

    signatures = [b"".join(each.to_bytes(4, "little") for each in sorted(cell)) for cell in cells]
    for part, wanted in zip(merged(signatures), expected, strict=True):
        assert part[3] == more
        keys = {key for key, _ in wanted}
        assert [named for named in named_in(part) if named[0] in keys] == sorted(wanted)


def named_in(part: bytes) -> list[tuple[int, int]]:
    """Read all numbers of a part with their rows, places between others too, which have as many
    times the largest step.
    """
    count = int.from_bytes(part[:3], "little")
    frames = zstd.ZstdDecompressor()
    high = frames.decompress(part[4 + count :])
    rows = zstd.decompress(frames.unused_data)
    differences = [low + (top << 8) for low, top in zip(part[4 : 4 + count], high, strict=True)]
    return list(zip(accumulate(differences), rows, strict=True))
