"""The cells of a segment together: for each hash of a word the cells that have it. Pure.

Strategy: hash (24 bits) and number of the cell (8 bits) are one number, and the numbers of all cells are sorted. They
are cut into parts by their first bits, and a part holds the differences between neighbours: those of 200 records of
prose each are 12 bits wide where a Bloom filter of equal certainty takes 18, and a word that is in every cell next to
nothing. A reader opens the one part that its word's hash is in.

Format of a part: count of differences (32 bits), their low bytes, then their high bytes as a zstd frame, all
little-endian. A difference beyond 16 bits is made of several: the places between tell of words that no cell has, which
costs as much as any other word that has the same hash.

Invariant: a cell that has a word is always told; one in some thousand that are told does not have it.
"""

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, repeat
from operator import sub
from typing import Final

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_CELLS: Final = 256
PARTS: Final = 512
"""So many that a part has about 3 000 numbers: 60 µs to open."""
_PART_BITS: Final = 32 - (PARTS.bit_length() - 1)
_CELL_BITS: Final = MAX_CELLS.bit_length() - 1
_CELL_MASK: Final = MAX_CELLS - 1
_MOST: Final = 0xFFFF
_GROUPS: Final = 64
"""Parts are made some at a time: what is sorted at once takes 3 ms."""
_GROUP_PARTS: Final = PARTS // _GROUPS
_GROUP_MASK: Final = (_GROUP_PARTS << _PART_BITS) - 1
_GROUP_ENDS: Final = tuple(group * _GROUP_PARTS << _PART_BITS for group in range(1, _GROUPS))
_LEVEL: Final = 3


def part_of(term: int) -> int:
    """Return the number of the part that a term is in."""
    return term >> _PART_BITS


def merged(signatures: Sequence[bytes]) -> Iterator[bytes]:
    """Make the parts of the cells with these signatures, `MAX_CELLS` at most, one after the other."""
    cells = [_numbered(signature, cell) for cell, signature in enumerate(signatures)]
    ends = [_ends(unpacked(signature)) for signature in signatures]
    for group in range(_GROUPS):
        # Sorted already in as many runs as there are cells, which a sort finds and merges.
        together = b"".join(cell[4 * end[group] : 4 * end[group + 1]] for cell, end in zip(cells, ends, strict=True))
        numbers = sorted(array("I", together))
        start = 0
        for part in range(_GROUP_PARTS):
            base = part << _PART_BITS
            stop = bisect_left(numbers, base + (1 << _PART_BITS), start)
            yield _written(numbers[start:stop], base)
            start = stop


def joined(parts: Sequence[bytes], counts: Sequence[int]) -> bytes:
    """Make the part of a segment of the same parts of smaller ones, which follow each other.

    Args:
        parts: All of one number.
        counts: How many cells each of the segments has, `MAX_CELLS` at most together.
    """
    numbers: list[int] = []
    for part, first_cell in zip(parts, accumulate(counts, initial=0), strict=False):
        numbers += map(first_cell.__add__, _places(part))
    return _written(sorted(numbers), 0)


def cells_with(part: bytes, term: int) -> int:
    """Tell which cells have a term, by its part: bit n is cell n."""
    wanted = (term & ((1 << _PART_BITS) - 1)) & ~_CELL_MASK
    places = _places(part)
    mask = 0
    for place in range(bisect_left(places, wanted), len(places)):
        cell = places[place] - wanted
        if cell >= MAX_CELLS:
            break
        mask |= 1 << cell
    return mask


def has(signature: bytes, term: int) -> bool:
    """Whether a cell that is in no segment yet has a term."""
    numbers = unpacked(signature)
    place = bisect_left(numbers, term)
    return place < len(numbers) and numbers[place] == term


def unpacked(signature: bytes) -> "array[int]":
    return array("I", signature)


def _numbered(signature: bytes, cell: int) -> bytes:
    """Put the number of a cell into the last bits of all its hashes, all at once, and leave out those of the group.

    What is left are numbers that Python compares, and subtracts, in half the time.
    """
    count = len(signature) // 4
    ones = int.from_bytes(b"\x01\x00\x00\x00" * count, "little")
    number = int.from_bytes(signature, "little") & (ones * (_GROUP_MASK ^ _CELL_MASK)) | (ones * cell)
    return number.to_bytes(4 * count, "little")


def _ends(numbers: "array[int]") -> list[int]:
    return [0, *(bisect_left(numbers, end) for end in _GROUP_ENDS), len(numbers)]


def _written(numbers: list[int], base: int) -> bytes:
    differences = list(map(sub, numbers, [base, *numbers]))
    if max(differences, default=0) > _MOST:
        differences = _in_steps(differences)
    planes = array("H", differences).tobytes()
    return len(differences).to_bytes(4, "little") + planes[::2] + zstd.compress(planes[1::2], _LEVEL)


def _in_steps(differences: list[int]) -> list[int]:
    """Make several of each large difference; all but a few are small."""
    found: list[int] = []
    start = 0
    for place in [place for place, difference in enumerate(differences) if difference > _MOST]:
        steps, rest = divmod(differences[place], _MOST)
        found += [*differences[start:place], *repeat(_MOST, steps - (not rest)), rest or _MOST]
        start = place + 1
    return found + differences[start:]


def _places(part: bytes) -> list[int]:
    count = int.from_bytes(part[:4], "little")
    planes = bytearray(2 * count)
    planes[::2] = part[4 : 4 + count]
    planes[1::2] = zstd.decompress(part[4 + count :])
    return list(accumulate(array("H", bytes(planes))))
