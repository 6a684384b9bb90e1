"""The terms of some texts in every reading, each with the row of its text. Pure.

Strategy: most JSON escapes only separate words, as the arrays see. Escapes that encode letters, and
those of URLs, are decoded, and the text around them, up to a quote or a space, is processed once
more. Texts are joined with a zero byte. Decoding neither adds nor removes zeros, so their number
before a word identifies its text, and so its row.

Invariant: see `storage.search.index.terms`.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from storage.repeated_texts import RepeatedTexts
from storage.search.index.escapes import percent_places, unescaped, unicode_places, unquoted
from storage.search.index.segment import FEW, MANY, ROW_BITS
from storage.search.index.word_arrays import END, Places, Terms32, found_in
from storage.search.searched_text import without_long_runs
from storage.search.words import LEVELS, decoded

_BETWEEN: Final = bytes((END,))
_QUOTE: Final = 0x22
_SPACE: Final = 0x20
_MANY: Final = np.uint32(MANY)
_MAX_REPEATED_BYTES: Final = 384 * 1024
_REPEATED: Final = RepeatedTexts[Terms32](8 * 1024 * 1024)
"""Terms of large windows that occur again and again, as those of row 0."""


def terms_of(texts: Sequence[bytes], rows: Sequence[int]) -> Terms32:
    """Return the terms of texts in every reading, each above the number of its row; unsorted, with
    duplicates.
    """
    joined = _joined(texts)
    numbers = np.array(rows, np.uint32)
    found = found_in(joined, numbers)
    terms = found.terms

    quoted = percent_places(joined)
    if quoted.size:
        part, part_rows = _around(joined, numbers, quoted, found.alone)
        terms += found_in(_valid(unquoted(part)), part_rows).terms
    for _ in range(LEVELS):
        escapes = np.sort(np.concatenate((unicode_places(joined), found.unread)))
        if not escapes.size:
            break

        part, numbers = _around(joined, numbers, escapes, found.alone)
        joined = unescaped(part)
        found = found_in(joined, numbers)
        terms += found.terms

    return np.concatenate(terms)


def terms_of_repeated(window: bytes, row: int) -> Terms32 | None:
    """Return the terms of a body's window, without its long runs, for a row; None if it was not
    seen before, or is so large that it is processed in pieces.
    """
    if len(window) > _MAX_REPEATED_BYTES:
        return None
    key = _REPEATED.key_of(window)
    if key is None:
        return None

    found = _REPEATED.get(key)
    if found is None:
        found = _sorted_once(terms_of([without_long_runs(window)], [0]))
        _REPEATED.put(key, found, found.nbytes)
    return found | np.uint32(row)


def _joined(texts: Sequence[bytes]) -> bytes:
    """Join texts as UTF-8."""
    if any(_BETWEEN in text for text in texts):
        # A zero separates words, as a space does.
        texts = [text.replace(_BETWEEN, b" ") for text in texts]
    return _valid(_BETWEEN.join(texts))


def _valid(text: bytes) -> bytes:
    """Return a text as valid UTF-8. Invalid bytes separate words, so they become spaces, shorter
    than U+FFFD.
    """
    if text.isascii():
        return text
    try:
        text.decode()
    except UnicodeDecodeError:
        return decoded(text).replace("\ufffd", " ").encode()
    return text


def _around(joined: bytes, rows: Terms32, places: Places, alone: Places) -> tuple[bytes, Terms32]:
    """Return the text around some offsets, up to a quote or a space, and the row of each piece. No
    word or escape spans a quote or a space.

    A text with words of a script without spaces is taken whole, because the adjacent word may be
    far away.
    """
    raw = np.frombuffer(joined, np.uint8)
    ends = np.flatnonzero((raw == _QUOTE) | (raw <= _SPACE))
    ends_of_texts = np.flatnonzero(raw == END)
    if alone.size:
        is_whole = np.zeros(rows.size, np.bool_)
        is_whole[np.searchsorted(ends_of_texts, alone)] = True
        ends = ends[~is_whole[np.searchsorted(ends_of_texts, ends)] | (raw[ends] == END)]

    ends = np.concatenate(([-1], ends, [len(joined)]))
    behind = np.searchsorted(ends, places)
    behind = behind[np.concatenate(([True], behind[1:] != behind[:-1]))]
    starts = ends[behind - 1] + 1
    pieces = zip(starts.tolist(), ends[behind].tolist(), strict=True)
    found = _BETWEEN.join([joined[start:stop] for start, stop in pieces])
    return found, rows[np.searchsorted(ends_of_texts, starts)]


def signature_of(parts: Sequence[Terms32]) -> bytes:
    """Return the signature of a cell; a term of more than `FEW` rows is written once, with `MANY`."""
    numbers = _sorted_once(np.concatenate((np.zeros(0, np.uint32), *parts)))
    terms = numbers >> np.uint32(ROW_BITS)
    is_first = np.ones(numbers.size, np.bool_)
    is_first[1:] = terms[1:] != terms[:-1]
    firsts = np.flatnonzero(is_first)
    counts = np.diff(firsts, append=numbers.size)
    lasts = firsts + counts - 1
    is_many = (counts > FEW) | (numbers[lasts] & _MANY == _MANY)

    is_kept = np.repeat(~is_many, counts)
    is_kept[lasts[is_many]] = True
    numbers[lasts[is_many]] |= _MANY
    signature: bytes = numbers.compress(is_kept).astype("<u4").tobytes()
    return signature


def _sorted_once(numbers: Terms32) -> Terms32:
    """Sort numbers and remove duplicates; `np.unique` takes ten times as long."""
    numbers = np.sort(numbers)
    is_new = np.ones(numbers.size, np.bool_)
    is_new[1:] = numbers[1:] != numbers[:-1]
    return numbers.compress(is_new)
