"""Decode the escapes of JSON strings and of URLs in a text, all at once. Pure.

One escape after the other, with the patterns of `storage.search.words`, the terms of a text full of
escapes take two to four times as long.

Invariant: the result is that of `storage.search.words.unescape`, and of `unquote`, with spaces for
zeros, since a zero ends a text (`storage.search.index.text_terms`).
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
"""Length of an escape like `\\u00e9`."""
_NO_DIGIT: Final = 0xFF
_TOO_LARGE: Final = 0x10000
"""Number returned where a character is not a digit; more than four digits can express."""
_REPLACEMENT: Final = 0xFFFD

_DIGITS: Final = np.full(256, _NO_DIGIT, np.uint32)
for _digit in "0123456789abcdefABCDEF":
    _DIGITS[ord(_digit)] = int(_digit, 16)
_SIMPLE: Final = np.zeros(256, np.uint8)
for _letter, _meaning in zip(b'"\\/bfnrt', b'"\\/\b\f\n\r\t', strict=True):
    _SIMPLE[_letter] = _meaning


def unicode_places(data: bytes) -> Places:
    """Return the offsets of a backslash, `u` and four digits, whether the backslash is escaped or
    not.
    """
    if b"\\" not in data:  # Searching for two bytes takes forty times as long.
        return np.zeros(0, np.intp)
    raw = _padded(data)
    places = np.flatnonzero(raw == _BACKSLASH)
    places = places[raw[places + 1] == _U]
    found: Places = places[_number(raw, places + 2, 4) < _TOO_LARGE]
    return found


def percent_places(data: bytes) -> Places:
    """Return the offsets of a percent sign and two digits."""
    if b"%" not in data:
        return np.zeros(0, np.intp)
    raw = _padded(data)
    places = np.flatnonzero(raw == _PERCENT)
    found: Places = places[_number(raw, places + 1, 2) < _TOO_LARGE]
    return found


def unescaped(data: bytes) -> bytes:
    """Decode the escapes of JSON strings (RFC 8259 §7) in a UTF-8 text; invalid ones are left
    unchanged.
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
    """Decode the escapes of URLs (RFC 3986 §2.1) in a UTF-8 text; the result may be invalid UTF-8."""
    places = percent_places(data)
    raw = _padded(data)
    keep = np.ones(raw.size, np.bool_)
    raw[places] = _without_zeros(_number(raw, places + 1, 2))
    keep[places + 1] = False
    keep[places + 2] = False
    return raw[: len(data)][keep[: len(data)]].tobytes()


def _padded(data: bytes) -> Bytes:
    """Return a copy of a text with padding, as bytes beyond its end are read."""
    return np.frombuffer(bytearray(data) + bytes(_UNIT_BYTES), np.uint8)


def _without_zeros(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    return np.where(codes == 0, np.uint32(_SPACE), codes)


def _escapes(raw: Bytes) -> Places:
    """Return the offsets of backslashes that begin an escape: every other one in a row."""
    slashes = np.flatnonzero(raw == _BACKSLASH)
    begins_row = np.ones(slashes.size, np.bool_)
    begins_row[1:] = slashes[1:] != slashes[:-1] + 1
    begins = np.maximum.accumulate(np.where(begins_row, slashes, 0))
    escapes: Places = slashes[(slashes - begins) % 2 == 0]
    return escapes


def _number(raw: Bytes, places: Places, digits: int) -> npt.NDArray[np.uint32]:
    """Return hexadecimal numbers; `_TOO_LARGE` where a character is not a digit."""
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
    """Write UTF-16 units in the place of their escapes; an unpaired surrogate becomes U+FFFD."""
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
