"""Segments made of the signatures of their cells, as arrays. Pure.

The format of their parts is in `storage.search.index.segment`, which reads them.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from storage.search.index.segment import CELL_BITS, COUNT_BYTES, MOST, PART_BITS, PARTS
from storage.zstd import zstd

Numbers = npt.NDArray[np.uint32]

_GROUPS: Final = 64
"""Parts are made some at a time: what is sorted at once is short."""
_GROUP_PARTS: Final = PARTS // _GROUPS
_GROUP_SIZE: Final = _GROUP_PARTS << PART_BITS
_GROUP_ENDS: Final = np.arange(1, _GROUPS, dtype=np.uint32) * np.uint32(_GROUP_SIZE)
_CELL_MASK: Final = (1 << CELL_BITS) - 1
_LEVEL: Final = 3


def merged(signatures: Sequence[bytes]) -> Iterator[bytes]:
    """Make the parts of the cells with these signatures, `MAX_CELLS` at most, one after the other."""
    more = max(0, (len(signatures) - 1).bit_length() - CELL_BITS)
    bases = np.arange(_GROUP_PARTS + 1, dtype=np.uint32) << np.uint32(PART_BITS + more)
    hashes = [np.frombuffer(signature, "<u4") for signature in signatures]
    cells = [_numbered(each, cell, more) for cell, each in enumerate(hashes)]
    ends = [[0, *np.searchsorted(each, _GROUP_ENDS).tolist(), each.size] for each in hashes]

    for group in range(_GROUPS):
        numbers = np.concatenate(
            [cell[end[group] : end[group + 1]] for cell, end in zip(cells, ends, strict=True)]
        )
        numbers.sort()
        stops = np.searchsorted(numbers, bases).tolist()
        for part in range(_GROUP_PARTS):
            yield _written(numbers[stops[part] : stops[part + 1]], bases[part], more)


def _numbered(hashes: Numbers, cell: int, more: int) -> Numbers:
    """Put the number of a cell behind all its hashes, and leave out the bits of the group."""
    kept = hashes & np.uint32((_GROUP_SIZE - 1) & ~_CELL_MASK)
    return kept << np.uint32(more) | np.uint32(cell)


def _written(numbers: Numbers, base: np.uint32, more: int) -> bytes:
    differences = _in_steps(np.diff(numbers, prepend=base))
    planes = differences.astype("<u2").view(np.uint8)
    header = differences.size.to_bytes(COUNT_BYTES, "little") + more.to_bytes(1, "little")
    return header + planes[::2].tobytes() + zstd.compress(planes[1::2].tobytes(), _LEVEL)


def _in_steps(differences: Numbers) -> Numbers:
    """Make several of each large difference; all but a few are small."""
    if differences.size == 0 or differences.max() <= MOST:
        return differences
    steps = np.maximum(1, -(-differences.astype(np.int64) // MOST))
    found = np.full(steps.sum(), MOST, np.uint32)
    found[np.cumsum(steps) - 1] = differences - (steps - 1) * MOST
    return found
