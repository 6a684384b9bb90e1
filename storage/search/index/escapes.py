"""Escapes of JSON strings and of addresses in a text, read all at once. Pure.

Invariant: what is read is what `storage.search.words.unescape`, and `unquote`, read of the same
text, with spaces for zeros: a zero ends a text (`storage.search.index.text_terms`).
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.intp]

_BACKSLASH: Final = 0x5C
_U: Final = ord("u")
_PERCENT: Final = 0x25
_SPACE: Final = 0x20
_UNIT_BYTES: Final = 6
"""Of `\\u00e9`."""
_NO_DIGIT: Final = 0xFF
_TOO_LARGE: Final = 0x10000
"""Read where a character is no digit: more than four digits are."""
_REPLACEMENT: Final = 0xFFFD

_DIGITS: Final = np.full(256, _NO_DIGIT, np.uint32)
for _digit in "0123456789abcdefABCDEF":
    _DIGITS[ord(_digit)] = int(_digit, 16)
_SIMPLE: Final = np.zeros(256, np.uint8)
for _letter, _meaning in zip(b'"\\/bfnrt', b'"\\/\b\f\n\r\t', strict=True):
    _SIMPLE[_letter] = _meaning


def unicode_places(data: bytes) -> Places:
    """Find where a backslash, `u` and four digits are, escaped themselves or not."""
    if b"\\" not in data:  # Two bytes at once are found in forty times as long.
        return np.zeros(0, np.intp)
    raw = _padded(data)
    places = np.flatnonzero(raw == _BACKSLASH)
    places = places[raw[places + 1] == _U]
    found: Places = places[_number(raw, places + 2, 4) < _TOO_LARGE]
    return found


def percent_places(data: bytes) -> Places:
    """Find where a percent sign and two digits are."""
    if b"%" not in data:
        return np.zeros(0, np.intp)
    raw = _padded(data)
    places = np.flatnonzero(raw == _PERCENT)
    found: Places = places[_number(raw, places + 1, 2) < _TOO_LARGE]
    return found


def unescaped(data: bytes) -> bytes:
    """Read the escapes of JSON strings (RFC 8259 §7) in a text in UTF-8; what is none is left as it
    is.
    """
    raw = _padded(data)
    escapes = _escapes(raw)
    keep = np.ones(raw.size, np.bool_)

    simple = escapes[_SIMPLE[raw[escapes + 1]] != 0]
    units = escapes[raw[escapes + 1] == _U]
    codes = _number(raw, units + 2, 4)
    is_number = codes < _TOO_LARGE
    units = units[is_number]
    codes = codes[is_number]

    raw[simple + 1] = _SIMPLE[raw[simple + 1]]
    keep[simple] = False
    _write_units(raw, keep, units, codes)
    return raw[: len(data)][keep[: len(data)]].tobytes()


def unquoted(data: bytes) -> bytes:
    """Read the escapes of addresses (RFC 3986 §2.1) in a text in UTF-8; the bytes that result may
    be no UTF-8.
    """
    places = percent_places(data)
    raw = _padded(data)
    keep = np.ones(raw.size, np.bool_)
    raw[places] = _without_zeros(_number(raw, places + 1, 2))
    keep[places + 1] = False
    keep[places + 2] = False
    return raw[: len(data)][keep[: len(data)]].tobytes()


def _padded(data: bytes) -> Bytes:
    """Copy a text, with as much behind it as is read beyond its end."""
    return np.frombuffer(bytearray(data) + bytes(_UNIT_BYTES), np.uint8)


def _without_zeros(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    return np.where(codes == 0, np.uint32(_SPACE), codes)


def _escapes(raw: Bytes) -> Places:
    """Find the backslashes that begin an escape: of some in a row, every other one."""
    slashes = np.flatnonzero(raw == _BACKSLASH)
    begins_row = np.ones(slashes.size, np.bool_)
    begins_row[1:] = slashes[1:] != slashes[:-1] + 1
    begins = np.maximum.accumulate(np.where(begins_row, slashes, 0))
    escapes: Places = slashes[(slashes - begins) % 2 == 0]
    return escapes


def _number(raw: Bytes, places: Places, digits: int) -> npt.NDArray[np.uint32]:
    """Read hexadecimal numbers; `_TOO_LARGE` where a character is no digit."""
    number = np.zeros(places.size, np.uint32)
    is_number = np.ones(places.size, np.bool_)
    for place in range(digits):
        digit = _DIGITS[raw[places + place]]
        is_number &= digit != _NO_DIGIT
        number = number << np.uint32(4) | digit & np.uint32(15)

    number[~is_number] = _TOO_LARGE
    return number


def _write_units(
    raw: Bytes, keep: npt.NDArray[np.bool_], places: Places, codes: npt.NDArray[np.uint32]
) -> None:
    """Write the characters of UTF-16 units in the places of their escapes; surrogates that are not
    paired are none.
    """
    is_high = codes >> np.uint32(10) == 0xD800 >> 10
    is_low = codes >> np.uint32(10) == 0xDC00 >> 10
    is_first = np.zeros(codes.size, np.bool_)
    is_first[:-1] = is_high[:-1] & is_low[1:] & (places[1:] == places[:-1] + _UNIT_BYTES)
    is_second = np.zeros(codes.size, np.bool_)
    is_second[1:] = is_first[:-1]

    points = _without_zeros(np.where(is_high | is_low, np.uint32(_REPLACEMENT), codes))
    firsts = np.flatnonzero(is_first)
    points[firsts] = (
        0x10000 + ((codes[firsts] & 0x3FF) << np.uint32(10)) + (codes[firsts + 1] & 0x3FF)
    )

    widths = 1 + (points >= 0x80).astype(np.intp) + (points >= 0x800) + (points >= 0x10000)
    widths[is_second] = 0
    for offset in range(_UNIT_BYTES):
        keep[places + offset] = offset < widths
    for width, mark in ((1, 0), (2, 0xC0), (3, 0xE0), (4, 0xF0)):
        of_width = np.flatnonzero(widths == width)
        some = points[of_width]
        at = places[of_width]
        for offset in range(width - 1, 0, -1):
            raw[at + offset] = 0x80 | some & 0x3F
            some = some >> np.uint32(6)
        raw[at] = mark | some
