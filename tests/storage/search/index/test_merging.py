"""Segments hold what their cells have; that nothing is missing in them is in `test_segment`."""

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from storage.search.index.merging import merged
from storage.search.index.segment import PARTS, packed
from storage.zstd import zstd

CELLS = st.lists(st.sets(st.integers(0, 0xFFFFFFFF), max_size=20), min_size=1, max_size=20)


@given(CELLS, st.booleans())
def test_parts_list_hashes_and_cells(cells: list[set[int]], are_many: bool) -> None:
    """Each hash without its low bits, with the number of each cell that has it, in order."""
    if are_many:
        cells = cells * (300 // len(cells) + 1)
    more = max(0, (len(cells) - 1).bit_length() - 8)
    expected: list[list[int]] = [[] for _ in range(PARTS)]
    for number, cell in enumerate(cells):
        for each in cell:
            expected[each >> 23].append((each & 0x7FFFFF) >> 8 << 8 + more | number)
    for part, wanted in zip(
        merged([packed(sorted(cell)) for cell in cells]), expected, strict=True
    ):
        assert part[3] == more
        assert [number for number in numbers_of(part) if number in set(wanted)] == sorted(wanted)


def numbers_of(part: bytes) -> list[int]:
    """Read all numbers of a part, places between others too, which have as many times the largest
    step.
    """
    count = int.from_bytes(part[:3], "little")
    high = zstd.decompress(part[4 + count :])
    differences = [low + (top << 8) for low, top in zip(part[4 : 4 + count], high, strict=True)]
    return list(accumulate(differences))
