"""The cells of a segment together: for each hash of a word the cells that have it. Pure.

Strategy: hash (24 bits) and number of the cell (8 bits, or more where there are more cells) are one
number, and the numbers of all cells are sorted. They are cut into parts by their first bits, and a
part holds the differences between neighbours: those of 200 records of prose each are 12 bits wide
where a Bloom filter of equal certainty takes 18, and a word that is in every cell next to nothing.
A reader opens the one part that its word's hash is in.

Format of a part: count of differences (24 bits), bits of a cell's number beyond 8 (8 bits), low
bytes of the differences, then their high bytes as a zstd frame, all little-endian. A difference
beyond 16 bits is made of several: the places between tell of words that no cell has, which costs as
much as any other word that has the same hash.

Invariant: a cell that has a word is always named; one in some thousand that are named does not have
it.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate, islice
from operator import sub
from typing import Final

from storage.zstd import zstd

MAX_CELLS: Final = 1024
PARTS: Final = 512
"""So many that a part has about 3 000 numbers: 60 µs to open."""
PART_BITS: Final = 32 - (PARTS.bit_length() - 1)
CELL_BITS: Final = 8
COUNT_BYTES: Final = 3
_HEADER_BYTES: Final = 4
MOST: Final = 0xFFFF
_STRETCH: Final = 128
"""Differences that are added up at once."""
_LEVEL: Final = 3


def part_of(term: int) -> int:
    """Return the number of the part that a term is in."""
    return term >> PART_BITS


def cells_with(part: bytes, term: int) -> int:
    """Tell which cells have a term, by its part: bit n is cell n."""
    bits, differences = _differences(part)
    wanted = (term & ((1 << PART_BITS) - 1)) >> CELL_BITS << bits
    most = 1 << bits
    mask = 0

    start, before = _start(differences, wanted)
    for place in islice(accumulate(differences[start:], initial=before), 1, None):
        if place >= wanted + most:
            break
        if place >= wanted:
            mask |= 1 << place - wanted

    return mask


def packed_offsets(offsets: Sequence[int]) -> bytes:
    """Write the offsets of cells, which rise: most are as far apart as those before."""
    return zstd.compress(array("Q", map(sub, offsets, [0, *offsets])).tobytes(), _LEVEL)


def offsets_of(packed: bytes) -> list[int]:
    """Read them."""
    return list(accumulate(array("Q", zstd.decompress(packed))))


def has(signature: bytes, term: int) -> bool:
    """Whether a cell that is in no segment yet has a term."""
    numbers = unpacked(signature)
    place = bisect_left(numbers, term)
    return place < len(numbers) and numbers[place] == term


def packed(numbers: Iterable[int]) -> bytes:
    """Write the signature of a cell with some terms, which rise."""
    return array("I", numbers).tobytes()


def unpacked(signature: bytes) -> "array[int]":
    return array("I", signature)


def _differences(part: bytes) -> tuple[int, "array[int]"]:
    """Read the differences of a part; returns how many bits of each number are those of the cell,
    too.
    """
    count = int.from_bytes(part[:COUNT_BYTES], "little")
    low_end = _HEADER_BYTES + count
    planes = bytearray(2 * count)
    planes[::2] = part[_HEADER_BYTES:low_end]
    planes[1::2] = zstd.decompress(part[low_end:])
    return CELL_BITS + part[COUNT_BYTES], array("H", bytes(planes))


def _start(differences: "array[int]", wanted: int) -> tuple[int, int]:
    """Find where numbers may begin that are at least a wanted one, and the number before.

    To add up a stretch takes a third of the time of listing its numbers.
    """
    before = 0
    for start in range(0, len(differences), _STRETCH):
        following = before + sum(differences[start : start + _STRETCH])
        if following >= wanted:
            return start, before
        before = following

    return len(differences), before
