"""Merge the signatures of cells into a segment, as arrays. Pure.

`storage.search.index.segment` describes the format of the parts, and reads them.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from storage.search.index.hashes import BITS
from storage.search.index.segment import (
    CELL_BITS,
    COUNT_BYTES,
    MANY,
    MOST,
    PART_BITS,
    PARTS,
    ROW_BITS,
)
from storage.zstd import zstd

Numbers = npt.NDArray[np.uint64]
Keys = npt.NDArray[np.uint32]
Rows = npt.NDArray[np.uint8]

_GROUPS: Final = 16
"""Parts are made in groups, so that the arrays to sort are short: up to 6 MB. With 64 groups a merge
takes twice as long.
"""
_GROUP_PARTS: Final = PARTS // _GROUPS
_GROUP_BITS: Final = BITS - (_GROUPS.bit_length() - 1)
"""Bits of a hash within a group."""
_GROUP_ENDS: Final = np.arange(1, _GROUPS, dtype=np.uint32) << np.uint32(_GROUP_BITS + ROW_BITS)
_ROW: Final = np.uint64(ROW_BITS)
_LEVEL: Final = 3


def merged(signatures: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the parts of a segment for cells with these signatures, at most `MAX_CELLS`, in order."""
    more = max(0, (len(signatures) - 1).bit_length() - CELL_BITS)
    bits = CELL_BITS + more
    bases = np.arange(_GROUP_PARTS + 1, dtype=np.uint64) << np.uint64(PART_BITS + bits)
    cells = [np.frombuffer(signature, "<u4") for signature in signatures]
    ends = [[0, *np.searchsorted(each, _GROUP_ENDS).tolist(), each.size] for each in cells]

    for group in range(_GROUPS):
        numbers = np.concatenate(
            [
                _numbered(each[end[group] : end[group + 1]], cell, bits)
                for cell, (each, end) in enumerate(zip(cells, ends, strict=True))
            ]
        )
        numbers.sort()
        stops = np.searchsorted(numbers, bases << _ROW).tolist()
        for part in range(_GROUP_PARTS):
            some = numbers[stops[part] : stops[part + 1]]
            yield _written(some, np.uint32(bases[part]), more)


def _numbered(signature: Keys, cell: int, bits: int) -> Numbers:
    """Insert the number of a cell between the hashes of a group and the rows."""
    hashes = signature >> np.uint32(ROW_BITS) & np.uint32((1 << _GROUP_BITS) - 1)
    keys = hashes.astype(np.uint64) << np.uint64(bits) | np.uint64(cell)
    return keys << _ROW | signature & np.uint32(MANY)


def _written(numbers: Numbers, base: np.uint32, more: int) -> bytes:
    keys = (numbers >> _ROW).astype(np.uint32)
    differences, rows = _in_steps(np.diff(keys, prepend=base), numbers.astype(np.uint8))
    planes = differences.astype("<u2").view(np.uint8)
    return b"".join(
        (
            differences.size.to_bytes(COUNT_BYTES, "little"),
            more.to_bytes(1, "little"),
            planes[::2].tobytes(),
            zstd.compress(planes[1::2].tobytes(), _LEVEL),
            zstd.compress(rows.tobytes(), _LEVEL),
        )
    )


def _in_steps(differences: Keys, rows: Rows) -> tuple[Keys, Rows]:
    """Split each large difference into several; all but a few are small."""
    if differences.size == 0 or differences.max() <= MOST:
        return differences, rows
    steps = np.maximum(1, -(-differences.astype(np.int64) // MOST))
    found = np.full(steps.sum(), MOST, np.uint32)
    found[np.cumsum(steps) - 1] = differences - (steps - 1) * MOST
    return found, np.repeat(rows, steps)
