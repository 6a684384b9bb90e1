"""The cells of a segment together: for each hash of a word the rows that have it. Pure.

Strategy: a cell names the rows of a word by their numbers within it, up to `FEW` of them; of a word
that is in more rows it says that any of its rows may have it. Hash (24 bits) and number of the row
(8 bits) are one number, and those of a cell, sorted, are its signature.

In a segment hash and number of the cell (8 bits, or more where there are more cells) are one
number, and the numbers of all cells are sorted. They are cut into parts by their first bits, and a
part holds the differences between neighbours, then the rows. A reader opens the one part that its
word's hash is in.

Format of a part: count of differences (24 bits), bits of a cell's number beyond 8 (8 bits), low
bytes of the differences, then their high bytes and the numbers of the rows as a zstd frame each,
all little-endian. A difference beyond 16 bits is made of several: the places between tell of words
that no row has, which costs as much as any other word that has the same hash.

Invariant: a row that has a word is always named; one in some thousand cells has rows named that do
not have it.
"""

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, islice, takewhile
from operator import sub
from typing import Final

from storage.search.index.hashes import BITS
from storage.zstd import zstd

MAX_CELLS: Final = 1024
PARTS: Final = 512
"""So many that a part has about 6 000 numbers: 0.1 ms to open."""
PART_BITS: Final = BITS - (PARTS.bit_length() - 1)
CELL_BITS: Final = 8
ROW_BITS: Final = 8
FEW: Final = 4
"""Most rows of a cell that are named for a word: of one in more rows, most cells of a search have
hits anyway.
"""
MANY: Final = (1 << ROW_BITS) - 1
"""Stands for all rows of a cell, whose own numbers are less."""
MASK_BITS: Final = 1 << ROW_BITS
"""Bits of a cell among those that say which rows have a word; all are set for `MANY`."""
WHOLE_CELL: Final = (1 << MASK_BITS) - 1
COUNT_BYTES: Final = 3
MASK_BYTES: Final = MASK_BITS // 8
_WHOLE: Final = b"\xff" * MASK_BYTES
_HEADER_BYTES: Final = 4
MOST: Final = 0xFFFF
_STRETCH: Final = 128
"""Differences that are added up at once."""
_LEVEL: Final = 3


def part_of(term: int) -> int:
    """Return the number of the part that a term is in."""
    return term >> PART_BITS


def rows_with(part: bytes, term: int) -> int:
    """Tell which rows can have a term, by its part: bit m of the `MASK_BITS` of cell n is its row
    m.
    """
    bits, differences, rows = _opened(part)
    wanted = (term & ((1 << PART_BITS) - 1)) << bits
    end = wanted + (1 << bits)
    start, before = _start(differences, wanted)
    numbers = islice(accumulate(differences[start:], initial=before), 1, None)

    named = [
        (place, number - wanted)
        for place, number in enumerate(takewhile(end.__gt__, numbers), start)
        if number >= wanted
    ]
    if not named:
        return 0
    row_of = zstd.decompress(rows)
    return _mask([(cell, row_of[place]) for place, cell in named])


def rows_in(signature: bytes, term: int) -> int:
    """Tell which rows can have a term of a cell that is in no segment yet."""
    numbers = array("I", signature)
    first = bisect_left(numbers, term << ROW_BITS)
    end = bisect_left(numbers, (term + 1) << ROW_BITS)
    return _mask([(0, number & MANY) for number in numbers[first:end]])


def packed_offsets(offsets: Sequence[int]) -> bytes:
    """Write the offsets of cells, which rise: most are as far apart as those before."""
    return zstd.compress(array("Q", map(sub, offsets, [0, *offsets])).tobytes(), _LEVEL)


def offsets_of(packed: bytes) -> list[int]:
    """Read them."""
    return list(accumulate(array("Q", zstd.decompress(packed))))


def _mask(named: Sequence[tuple[int, int]]) -> int:
    """Set the bits of some rows, given by their cells, which rise, and their numbers within."""
    if not named:
        return 0

    mask = bytearray(MASK_BYTES * (named[-1][0] + 1))
    for cell, row in named:
        first = MASK_BYTES * cell
        if row == MANY:
            mask[first : first + MASK_BYTES] = _WHOLE
        else:
            mask[first + row // 8] |= 1 << row % 8

    return int.from_bytes(mask, "little")


def _opened(part: bytes) -> tuple[int, "array[int]", bytes]:
    """Read a part: how many bits of each number are those of the cell, the differences, and the
    frame of the rows.
    """
    count = int.from_bytes(part[:COUNT_BYTES], "little")
    low_end = _HEADER_BYTES + count
    frames = zstd.ZstdDecompressor()
    planes = bytearray(2 * count)
    planes[::2] = part[_HEADER_BYTES:low_end]
    planes[1::2] = frames.decompress(part[low_end:])
    return CELL_BITS + part[COUNT_BYTES], array("H", bytes(planes)), frames.unused_data


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
