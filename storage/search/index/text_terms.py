"""The terms of some texts, in every reading. Pure.

Strategy: most escapes of JSON are only between words, which the arrays see. Those that make
letters, and those of addresses, are read, and what stands around them, up to a quote or a space, is
looked at once more.

Invariant: as of `storage.search.index.terms`.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from storage.search.index.escapes import percent_places, unescaped, unicode_places, unquoted
from storage.search.index.word_arrays import Places, Terms32, found_in, sorted_once
from storage.search.words import LEVELS, decoded

_BETWEEN: Final = b"\n"
_QUOTE: Final = 0x22
_SPACE: Final = 0x20


def terms_of(texts: Sequence[bytes]) -> list[Terms32]:
    """Find the terms of texts in every reading, in parts that are not sorted."""
    texts, joined = _joined(texts)
    found = found_in(joined)
    terms = found.terms
    quoted = percent_places(joined)
    if quoted.size:
        part = unquoted(_around(joined, texts, quoted, found.alone))
        terms += found_in(_valid(part)).terms
    for _ in range(LEVELS):
        escapes = np.sort(np.concatenate((unicode_places(joined), found.unread)))
        if not escapes.size:
            break

        joined = unescaped(_around(joined, texts, escapes, found.alone))
        texts = [joined]
        found = found_in(joined)
        terms += found.terms

    return terms


def _joined(texts: Sequence[bytes]) -> tuple[Sequence[bytes], bytes]:
    """Join texts, in UTF-8."""
    joined = _BETWEEN.join(texts)
    if joined.isascii():
        return texts, joined

    try:
        joined.decode()
    except UnicodeDecodeError:
        texts = [_valid(text) for text in texts]
        joined = _BETWEEN.join(texts)

    return texts, joined


def _valid(text: bytes) -> bytes:
    """Make UTF-8 of a text; what is none is between words, as a space is, which is shorter than
    U+FFFD.
    """
    if text.isascii():
        return text
    return decoded(text).replace("\ufffd", " ").encode()


def _around(joined: bytes, texts: Sequence[bytes], places: Places, alone: Places) -> bytes:
    """Cut out what stands around some places up to a quote or a space: no word and no escape spans
    them.

    A text with words of a script without spaces is taken as a whole, because its next word may be
    far.
    """
    raw = np.frombuffer(joined, np.uint8)
    ends = np.flatnonzero((raw == _QUOTE) | (raw <= _SPACE))
    if alone.size:
        joins = np.cumsum([len(text) + 1 for text in texts]) - 1
        is_whole = np.zeros(len(texts), np.bool_)
        is_whole[np.searchsorted(joins, alone)] = True
        ends = ends[~is_whole[np.searchsorted(joins, ends)] | np.isin(ends, joins)]

    ends = np.concatenate(([-1], ends, [len(joined)]))
    behind = np.searchsorted(ends, places)
    behind = behind[np.concatenate(([True], behind[1:] != behind[:-1]))]
    starts = (ends[behind - 1] + 1).tolist()
    stops = ends[behind].tolist()
    return _BETWEEN.join([joined[start:stop] for start, stop in zip(starts, stops, strict=True)])


def packed_once(parts: Sequence[Terms32]) -> bytes:
    """Write terms as sorted numbers of 32 bits, little-endian, each of them once."""
    if parts:
        return sorted_once(np.concatenate(parts)).astype("<u4").tobytes()
    return b""
