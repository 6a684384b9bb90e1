"""The cells of a segment together: for each hash of a word the cells that have it. Pure.

Strategy: hash (24 bits) and number of the cell (8 bits, or more where there are more cells) are one number, and the
numbers of all cells are sorted. They are cut into parts by their first bits, and a part holds the differences between
neighbours: those of 200 records of prose each are 12 bits wide where a Bloom filter of equal certainty takes 18, and a
word that is in every cell next to nothing. A reader opens the one part that its word's hash is in.

Format of a part: count of differences (24 bits), bits of a cell's number beyond 8 (8 bits), low bytes of the
differences, then their high bytes as a zstd frame, all little-endian. A difference beyond 16 bits is made of several:
the places between tell of words that no cell has, which costs as much as any other word that has the same hash.

Invariant: a cell that has a word is always named; one in some thousand that are named does not have it.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice, repeat
from operator import sub
from typing import Final

from storage.zstd import zstd

MAX_CELLS: Final = 1024
PARTS: Final = 512
"""So many that a part has about 3 000 numbers: 60 µs to open."""
_PART_BITS: Final = 32 - (PARTS.bit_length() - 1)
_CELL_BITS: Final = 8
_CELL_MASK: Final = (1 << _CELL_BITS) - 1
_COUNT_BYTES: Final = 3
_HEADER_BYTES: Final = 4
_MOST: Final = 0xFFFF
_STRETCH: Final = 128
"""Differences that are added up at once."""
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
    more = _more_bits(len(signatures))
    cells = [_numbered(signature, cell, more) for cell, signature in enumerate(signatures)]
    ends = [_ends(unpacked(signature)) for signature in signatures]
    for group in range(_GROUPS):
        # Sorted already in as many runs as there are cells, which a sort finds and merges.
        together = b"".join(cell[4 * end[group] : 4 * end[group + 1]] for cell, end in zip(cells, ends, strict=True))
        numbers = sorted(array("I", together))
        start = 0
        for part in range(_GROUP_PARTS):
            base = part << _PART_BITS + more
            stop = bisect_left(numbers, base + (1 << _PART_BITS + more), start)
            yield _written(numbers[start:stop], base, more)
            start = stop


def cells_with(part: bytes, term: int) -> int:
    """Tell which cells have a term, by its part: bit n is cell n."""
    bits, differences = _differences(part)
    wanted = (term & ((1 << _PART_BITS) - 1)) >> _CELL_BITS << bits
    most, mask = 1 << bits, 0
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


def unpacked(signature: bytes) -> "array[int]":
    return array("I", signature)


def _more_bits(cells: int) -> int:
    """Return how many bits the number of a cell has beyond 8."""
    return max(0, (cells - 1).bit_length() - _CELL_BITS)


def _numbered(signature: bytes, cell: int, more: int) -> bytes:
    """Put the number of a cell behind all its hashes, all at once, and leave out the bits of the group.

    What is left are numbers that Python compares, and subtracts, in half the time.
    """
    count = len(signature) // 4
    ones = int.from_bytes(b"\x01\x00\x00\x00" * count, "little")
    hashes = int.from_bytes(signature, "little") & (ones * (_GROUP_MASK ^ _CELL_MASK))
    return (hashes << more | (ones * cell)).to_bytes(4 * count, "little")


def _ends(numbers: "array[int]") -> list[int]:
    return [0, *(bisect_left(numbers, end) for end in _GROUP_ENDS), len(numbers)]


def _written(numbers: list[int], base: int, more: int) -> bytes:
    differences = list(map(sub, numbers, [base, *numbers]))
    if max(differences, default=0) > _MOST:
        differences = _in_steps(differences)
    planes = array("H", differences).tobytes()
    header = len(differences).to_bytes(_COUNT_BYTES, "little") + more.to_bytes(1, "little")
    return header + planes[::2] + zstd.compress(planes[1::2], _LEVEL)


def _in_steps(differences: list[int]) -> list[int]:
    """Make several of each large difference; all but a few are small."""
    found: list[int] = []
    start = 0
    for place in [place for place, difference in enumerate(differences) if difference > _MOST]:
        steps, rest = divmod(differences[place], _MOST)
        found += [*differences[start:place], *repeat(_MOST, steps - (not rest)), rest or _MOST]
        start = place + 1
    return found + differences[start:]


def _differences(part: bytes) -> tuple[int, "array[int]"]:
    """Read the differences of a part; returns how many bits of each number are those of the cell, too."""
    count = int.from_bytes(part[:_COUNT_BYTES], "little")
    low_end = _HEADER_BYTES + count
    planes = bytearray(2 * count)
    planes[::2] = part[_HEADER_BYTES:low_end]
    planes[1::2] = zstd.decompress(part[low_end:])
    return _CELL_BITS + part[_COUNT_BYTES], array("H", bytes(planes))


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
