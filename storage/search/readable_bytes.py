"""Find the readable bytes in binary data, all at once as arrays. Pure.

A byte is readable if it is printable ASCII, white space, the escape of terminals, or part of a
UTF-8 character.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

_PRINTABLE: Final = (0x20, 0x7F - 0x20)
"""First value, and number of values; the same for the ranges below."""
_BLANKS: Final = (0x09, 5)
_ESCAPE: Final = 0x1B
_CONTINUED: Final = (0x80, 0x40)
_FIRST_OF_TWO: Final = (0xC2, 0x1E)
_FIRST_OF_THREE: Final = (0xE0, 0x10)
_FIRST_OF_FOUR: Final = (0xF0, 0x05)

Span = tuple[int, int]
_Bytes = npt.NDArray[np.uint8]
_Flags = npt.NDArray[np.bool_]


def runs_in(data: bytes, min_bytes: int, *, has_characters: bool) -> list[Span]:
    """Return the runs of readable bytes, as start and end offsets in order.

    Args:
        data: Binary data.
        min_bytes: Least length of a run, a power of two.
        has_characters: Whether to recognise characters beyond ASCII.
    """
    reads = _reads(np.frombuffer(data, np.uint8), has_characters=has_characters)
    if len(reads) < min_bytes:
        return []

    # Each step doubles the number of neighbours known to be readable: 2, 4, 8.
    known = 1
    while known < min_bytes:
        reads = reads[:-known] & reads[known:]
        known *= 2

    edges = np.flatnonzero(reads[1:] != reads[:-1]) + 1
    ends = [*([0] if reads[0] else []), *edges.tolist(), *([len(reads)] if reads[-1] else [])]
    return [
        (start, stop + min_bytes - 1) for start, stop in zip(ends[::2], ends[1::2], strict=True)
    ]


def _reads(octets: _Bytes, *, has_characters: bool) -> _Flags:
    flags = _among(octets, _PRINTABLE) | _among(octets, _BLANKS)
    flags |= octets == _ESCAPE
    if has_characters:
        flags |= _characters(octets)
    return flags


def _characters(octets: _Bytes) -> _Flags:
    """Flag the bytes that belong to a character of two to four bytes."""
    belongs = np.zeros(len(octets), np.bool_)
    continued = _among(octets, _CONTINUED)
    for count, first in enumerate((_FIRST_OF_TWO, _FIRST_OF_THREE, _FIRST_OF_FOUR), 2):
        whole = _among(octets, first)[: max(0, len(octets) - count + 1)]
        for place in range(1, count):
            whole = whole & continued[place : place + len(whole)]
        for place in range(count):
            belongs[place : place + len(whole)] |= whole

    return belongs


def _among(octets: _Bytes, values: tuple[int, int]) -> _Flags:
    """Flag the bytes within a range of values. Values below it wrap around, so one comparison is
    enough.
    """
    first, count = values
    return (octets - np.uint8(first)) < np.uint8(count)
