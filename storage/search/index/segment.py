"""The cells of a segment, merged: for each hash of a word the rows that have it. Pure.

Strategy: a cell stores up to `FEW` row numbers for a word; for a word of more rows it stores that
any row may have it. Hash (24 bits) and row number (8 bits) form one number, and the sorted numbers
of a cell are its signature.

In a segment, hash and cell number (8 bits, or more where there are more cells) form one number, and
the numbers of all cells are sorted. They are cut into parts by their first bits. A part holds the
differences between neighbours, then the rows. A reader opens the one part for its word's hash.

Format of a part: count of differences (24 bits), bits of a cell number beyond 8 (8 bits), low bytes
of the differences, then their high bytes and the row numbers as a zstd frame each, all
little-endian. A difference beyond 16 bits is split into several. The numbers in between stand for
words that no row has, and cost as much as any other word with the same hash.

Invariant: a row that has a word is always returned; in about one of a thousand cells rows are
returned that do not have it.
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
"""Parts of a segment, so that one has about 6 000 numbers and takes 0.1 ms to open."""
PART_BITS: Final = BITS - (PARTS.bit_length() - 1)
CELL_BITS: Final = 8
ROW_BITS: Final = 8
FEW: Final = 4
"""Most rows of a cell that are stored for a word. If more rows have it, most cells of a search have
matches anyway.
"""
MANY: Final = (1 << ROW_BITS) - 1
"""Row number that stands for all rows of a cell; real ones are smaller."""
MASK_BITS: Final = 1 << ROW_BITS
"""Bits of a cell in a mask of rows; all are set for `MANY`."""
WHOLE_CELL: Final = (1 << MASK_BITS) - 1
COUNT_BYTES: Final = 3
MASK_BYTES: Final = MASK_BITS // 8
_WHOLE: Final = b"\xff" * MASK_BYTES
_HEADER_BYTES: Final = 4
MOST: Final = 0xFFFF
_STRETCH: Final = 128
"""Differences that are summed at once."""
_LEVEL: Final = 3


def part_of(term: int) -> int:
    """Return the number of the part for a term."""
    return term >> PART_BITS


def rows_with(part: bytes, term: int) -> int:
    """Return the rows that may have a term, from its part: bit m of the `MASK_BITS` of cell n is
    its row m.
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
    """Return the rows of a single cell, in no segment yet, that may have a term."""
    numbers = array("I", signature)
    first = bisect_left(numbers, term << ROW_BITS)
    end = bisect_left(numbers, (term + 1) << ROW_BITS)
    return _mask([(0, number & MANY) for number in numbers[first:end]])


def packed_offsets(offsets: Sequence[int]) -> bytes:
    """Compress the rising offsets of cells as differences, since most of these are equal."""
    return zstd.compress(array("Q", map(sub, offsets, [0, *offsets])).tobytes(), _LEVEL)


def offsets_of(packed: bytes) -> list[int]:
    """Return the offsets from their compressed form."""
    return list(accumulate(array("Q", zstd.decompress(packed))))


def _mask(named: Sequence[tuple[int, int]]) -> int:
    """Return a mask with the bits of some rows, given as pairs of cell and row number in rising
    order of cells.
    """
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
    """Return the contents of a part: bits of the cell number, differences, and the compressed rows."""
    count = int.from_bytes(part[:COUNT_BYTES], "little")
    low_end = _HEADER_BYTES + count
    frames = zstd.ZstdDecompressor()
    planes = bytearray(2 * count)
    planes[::2] = part[_HEADER_BYTES:low_end]
    planes[1::2] = frames.decompress(part[low_end:])
    return CELL_BITS + part[COUNT_BYTES], array("H", bytes(planes)), frames.unused_data


def _start(differences: "array[int]", wanted: int) -> tuple[int, int]:
    """Return the position before the first number that is at least the wanted one, and the number
    before it.

    To sum a stretch takes a third of the time of listing its numbers.
    """
    before = 0
    for start in range(0, len(differences), _STRETCH):
        following = before + sum(differences[start : start + _STRETCH])
        if following >= wanted:
            return start, before
        before = following

    return len(differences), before
