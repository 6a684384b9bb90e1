"""The terms of all words of some texts, computed with arrays in a time that does not depend on
their content. Pure.

Strategy: one translation lowers the text and writes zeros for bytes that are in no word and no
joint. Words begin and end at zeros and signs, and the first eight bytes of each are read as one
number. Bytes of letters beyond ASCII count as part of words. `storage.search.index.characters`
knows which of those characters are not letters, fold to others, or are words by themselves. A
letter after a backslash may be the first of a word, or a JSON escape, so the word without it counts
too. Texts are separated by `END`. A term is a number with the hash in its upper bits and the row of
the text in its lower bits.

Invariant: the words that `storage.search.words` finds in a text have their terms here, and so do
those it finds once JSON escapes are decoded, except at the places in `unread`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from storage.search.index import hashes, joint_arrays, joints
from storage.search.index.characters import ALONE, CHANGED, HARD, Kinds, Points, keys_of, kinds_of
from storage.search.index.segment import ROW_BITS
from storage.search.words import decoded, fold

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.intp]
Hashes = npt.NDArray[np.uint64]
Terms32 = npt.NDArray[np.uint32]

_BEFORE: Final = joints.BEFORE
"""Zeros before the first byte, so that the bytes before a word or a sign can be read."""
_BEHIND: Final = hashes.MAX_WORD_BYTES + hashes.PIECE_BYTES
_IN_WORDS: Final = bytes(chr(byte).isalnum() or byte == 0x5F for byte in range(128)) + b"\1" * 128
_LOWERED: Final = bytes(
    (byte | 0x20 if 0x41 <= byte <= 0x5A else byte)
    if _IN_WORDS[byte] or byte in joint_arrays.SIGNS
    else 0
    for byte in range(256)
)
END: Final = 0
"""Separates texts, and occurs in none of them."""
_BACKSLASH: Final = 0x5C
_LAST_OF_ASCII: Final = 0x7F
_LEAD: Final = 0xC0
"""Least value of the first byte of a character beyond ASCII."""

_IS_ESCAPE: Final = np.zeros(256, np.bool_)
_IS_ESCAPE[list(b"nrtbf")] = True
_WIDTHS: Final = np.ones(256, np.intp)
_WIDTHS[0xC0:] = 2
_WIDTHS[0xE0:] = 3
_WIDTHS[0xF0:] = 4
_LOW_BYTES: Final = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)
_SHIFT: Final = np.uint64(hashes.SHIFT)
_END_SHIFT: Final = np.uint64(hashes.END_SHIFT)
_ROW_BITS: Final = np.uint32(ROW_BITS)
_FIRST: Final = np.uint64(hashes.FIRST)
_NEXT: Final = np.uint64(hashes.NEXT)
_WORD: Final = np.uint64(hashes.WORD)
_PREFIX: Final = np.uint64(hashes.PREFIX)
_PAIR: Final = np.uint64(hashes.PAIR)
_JOINT: Final = np.uint64(hashes.JOINT)
_FOUR_BYTES: Final = np.uint64(0xFFFFFFFF)
_NOT_ASCII: Final = np.uint64(0x80808080)
_NO_PLACES: Final = np.zeros(0, np.intp)


@dataclass(frozen=True, slots=True)
class Found:
    """Result for some texts."""

    terms: list[Terms32]
    """Terms of the words, each with its row, in parts."""
    alone: Places
    """Byte offsets of words of scripts without spaces."""
    unread: Places
    """Offsets where a character after a JSON escape may combine with its letter: such text must be
    decoded first.
    """


class _Rows:
    """The rows of texts that are separated by `END`."""

    def __init__(self, data: bytes, rows: Terms32) -> None:
        """Take the joined texts, and the row of each."""
        self._rows = rows
        self._ends = np.flatnonzero(np.frombuffer(data, np.uint8) == END) + _BEFORE

    def of(self, places: Places) -> Terms32:
        """Return the rows at rising offsets, which are `_BEFORE` larger than in the data."""
        bounds = np.searchsorted(places, self._ends)
        return np.repeat(self._rows, np.diff(bounds, prepend=0, append=places.size))


class _Folded:
    """A text with all letters folded, signs unchanged, and zeros for everything else."""

    def __init__(self, data: bytes) -> None:
        """Take a text in UTF-8."""
        self.raw: Bytes = np.frombuffer(bytes(_BEFORE) + data, np.uint8)
        lowered = data.translate(_LOWERED)
        self.bytes: Bytes = np.frombuffer(
            b"".join((bytes(_BEFORE), lowered, bytes(_BEHIND))), np.uint8
        )
        self.are_signs = joint_arrays.are_signs(self.bytes)
        self.has_escapes = b"\\" in data
        self.alone: Places = _NO_PLACES
        self.alone_keys: Points = np.zeros(0, np.uint32)

    def change(self, points: Points, leads: Places, kinds: Kinds) -> None:
        """Write the folded forms of characters beyond ASCII."""
        changed = np.flatnonzero(kinds & CHANGED)
        keys = keys_of(points[changed])
        at = leads[changed] + _BEFORE
        is_alone = kinds[changed] & ALONE != 0
        self.alone, self.alone_keys = at[is_alone], keys[is_alone]

        keys[is_alone] = 0
        widths = _WIDTHS[self.raw[at]]
        written = keys.astype("<u4").view(np.uint8).reshape(-1, 4)
        folded = self.bytes.copy()
        folded[at] = written[:, 0]
        folded[at + 1] = written[:, 1]
        for offset in (2, 3):
            wide = np.flatnonzero(widths > offset)
            folded[at[wide] + offset] = written[wide, offset]
        self.bytes = folded


def found_in(data: bytes, rows: Terms32) -> Found:
    """Return the terms of texts in UTF-8, separated by `END`, each with the row of its text."""
    rows_of = _Rows(data, rows)
    folded = _Folded(data)
    joint_terms = _joint_terms(folded, rows_of)
    if data.isascii():
        return Found([*_terms(folded, rows_of), joint_terms], _NO_PLACES, _NO_PLACES)

    points, leads = _characters(data)
    kinds = kinds_of(points)
    alone = leads[kinds & ALONE != 0]
    hard = leads[kinds & HARD != 0]
    unread = _behind_escapes(data, hard)

    if hard.size:
        data = _with_folded(data, hard)
        points, leads = _characters(data)
        kinds = kinds_of(points)
        rows_of = _Rows(data, rows)
        folded = _Folded(data)

    folded.change(points, leads, kinds)
    return Found([*_terms(folded, rows_of), joint_terms], alone, unread)


def _characters(data: bytes) -> tuple[Points, Places]:
    """Return the characters beyond ASCII in a text, and their offsets."""
    raw = np.frombuffer(data, np.uint8)
    others = raw[raw > _LAST_OF_ASCII].tobytes().decode()
    return np.frombuffer(others.encode("utf-32-le"), "<u4"), np.flatnonzero(raw >= _LEAD)


def _behind_escapes(data: bytes, places: Places) -> Places:
    """Return the offsets that directly follow a JSON escape."""
    raw = np.frombuffer(bytes(_BEFORE) + data, np.uint8)
    letters = raw[places + _BEFORE - 1]
    slashes = raw[places + _BEFORE - 2]
    behind: Places = places[_IS_ESCAPE[letters] & (slashes == _BACKSLASH)]
    return behind


def _with_folded(data: bytes, hard: Places) -> bytes:
    """Fold the text around some characters, up to the next ASCII characters that are not in a word."""
    ends = np.flatnonzero(np.frombuffer(data.translate(_IN_WORDS), np.uint8) == 0)
    ends = np.concatenate(([-1], ends, [len(data)]))
    behind = np.searchsorted(ends, hard)
    behind = behind[np.concatenate(([True], behind[1:] != behind[:-1]))]
    starts = (ends[behind - 1] + 1).tolist()
    stops = ends[behind].tolist()

    hard_parts = [data[start:stop] for start, stop in zip(starts, stops, strict=True)]
    folded = fold(decoded(b"\n".join(hard_parts))).encode().split(b"\n")
    others = [
        data[start:stop] for start, stop in zip([0, *stops], [*starts, len(data)], strict=True)
    ]
    return b"".join([part for both in zip(others, [*folded, b""], strict=True) for part in both])


def _terms(folded: _Folded, rows_of: _Rows) -> list[Terms32]:
    inside = (folded.bytes != 0) & ~folded.are_signs
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    starts = edges[::2] + 1
    lengths = edges[1::2] - edges[::2]
    behind = _behind_backslashes(folded, starts)
    rows = rows_of.of(starts)

    terms: list[Terms32] = []
    if folded.alone.size:
        # The letter of an escape does not separate its neighbours as a word would.
        words = np.delete(starts, behind[lengths[behind] == 1])
        terms += _alone_terms(folded, rows_of.of(folded.alone), words)
    behind = behind[lengths[behind] > 1]
    if behind.size:
        starts = np.concatenate((starts, starts[behind] + 1))
        lengths = np.concatenate((lengths, lengths[behind] - 1))
        rows = np.concatenate((rows, rows[behind]))
    return terms + _word_terms(folded.bytes, rows, starts, lengths)


def _behind_backslashes(folded: _Folded, starts: Places) -> Places:
    """Return the indices of the words whose first letter may be that of an escape."""
    if not folded.has_escapes:
        return _NO_PLACES
    behind = np.flatnonzero(folded.raw[starts - 1] == _BACKSLASH)
    chosen: Places = behind[_IS_ESCAPE[folded.raw[starts[behind]]]]
    return chosen


def _joint_terms(folded: _Folded, rows_of: _Rows) -> Terms32:
    """Hash the joints of texts as written, before letters beyond ASCII are changed."""
    starts, lengths = joint_arrays.joints_in(folded.bytes, np.flatnonzero(folded.are_signs))
    eight = _eight(folded.bytes)
    return _hashed(eight, eight[starts], starts, lengths, _JOINT) | rows_of.of(starts)


def _eight(text: Bytes) -> Hashes:
    """Return a view of a text as numbers of eight bytes, one for each offset."""
    return np.ndarray((text.size - hashes.PIECE_BYTES + 1,), "<u8", text.data, strides=(1,))


def _word_terms(folded: Bytes, rows: Terms32, starts: Places, lengths: Places) -> list[Terms32]:
    """Hash words, and the prefixes of longer ones."""
    eight = _eight(folded)
    first = eight[starts]
    whole = np.minimum(lengths, hashes.MAX_WORD_BYTES)
    terms = [_hashed(eight, first, starts, whole, _WORD) | rows]

    prefixes = first & _FOUR_BYTES
    is_ascii = prefixes & _NOT_ASCII == 0
    longer = np.flatnonzero(is_ascii & (lengths > hashes.PREFIX_CHARACTERS))
    terms.append(_finished(_first(prefixes[longer]), _PREFIX) | rows[longer])

    others = np.flatnonzero(~is_ascii)
    if others.size:
        widths = _prefix_widths(folded, starts[others])
        is_longer = widths < lengths[others]
        others = others[is_longer]
        widths = widths[is_longer]
        hashed = _hashed(eight, first[others], starts[others], widths, _PREFIX)
        terms.append(hashed | rows[others])

    return terms


def _prefix_widths(folded: Bytes, starts: Places) -> Places:
    """Return the length in bytes of the words' prefixes; more than the word's if the word is
    shorter.
    """
    ends = starts
    for _ in range(hashes.PREFIX_CHARACTERS):
        ends = ends + _WIDTHS[folded[ends]]
    return ends - starts


def _alone_terms(folded: _Folded, rows: Terms32, starts: Places) -> list[Terms32]:
    """Hash words of scripts without spaces, whose rows are given, and pairs of adjacent ones."""
    keys = folded.alone_keys.astype(np.uint64)
    words_before = np.searchsorted(starts, folded.alone)
    follow = np.flatnonzero((words_before[1:] == words_before[:-1]) & (rows[1:] == rows[:-1]))
    pairs = keys[follow] | keys[follow + 1] << _SHIFT
    return [
        _finished(_first(keys), _WORD) | rows,
        _finished(_first(pairs), _PAIR) | rows[follow],
    ]


def _hashed(
    eight: Hashes, first: Hashes, starts: Places, lengths: Places, kind: np.uint64
) -> Terms32:
    """Hash the bytes from each start on; the first eight are given."""
    mixed = _first(first & _LOW_BYTES[np.minimum(lengths, hashes.PIECE_BYTES)])
    offset = hashes.PIECE_BYTES

    longer = np.flatnonzero(lengths > offset)
    while longer.size:
        rest = lengths[longer] - offset
        piece = eight[starts[longer] + offset] & _LOW_BYTES[np.minimum(rest, hashes.PIECE_BYTES)]
        some = (mixed[longer] ^ piece) * _NEXT
        some ^= some >> _SHIFT
        mixed[longer] = some
        longer = longer[rest > hashes.PIECE_BYTES]
        offset += hashes.PIECE_BYTES

    return _finished(mixed, kind)


def _first(piece: Hashes) -> Hashes:
    mixed: Hashes = piece * _FIRST
    mixed ^= mixed >> _SHIFT
    return mixed


def _finished(mixed: Hashes, kind: np.uint64) -> Terms32:
    """Return the hash, shifted above the bits of the row."""
    return (mixed * kind >> _END_SHIFT).astype(np.uint32) << _ROW_BITS
