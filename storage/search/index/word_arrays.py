"""The terms of all words of some texts, as arrays: in a time that does not depend on what the texts
are. Pure.

Strategy: one translation writes the text in lower case with zeros for what is in no word and no
joint; where a zero or a sign is, words begin and end, and eight bytes from the beginning of each
are read as one number.
Letters beyond ASCII are words already; of those that are not, or fold to others, or are words by
themselves, `storage.search.index.characters` knows. A letter behind a backslash may be the word's
first, or an escape of JSON: the word without it counts, too. Texts are joined by `END`. A term is
found with the row of its text: the hash in the upper bits of a number, the row in the lower ones.

Invariant: the words that `storage.search.words` finds in a text have their terms here, and so have
those it finds in the text without the escapes of JSON, unless `unread` says where there are others.
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
"""Zeros before the first byte, so that as many bytes before a word or a sign can be read."""
_BEHIND: Final = hashes.MAX_WORD_BYTES + hashes.PIECE_BYTES
_IN_WORDS: Final = bytes(chr(byte).isalnum() or byte == 0x5F for byte in range(128)) + b"\1" * 128
_LOWERED: Final = bytes(
    (byte | 0x20 if 0x41 <= byte <= 0x5A else byte)
    if _IN_WORDS[byte] or byte in joint_arrays.SIGNS
    else 0
    for byte in range(256)
)
END: Final = 0
"""Stands between two texts, and in none of them."""
_BACKSLASH: Final = 0x5C
_LAST_OF_ASCII: Final = 0x7F
_LEAD: Final = 0xC0
"""Bytes from here on begin a character beyond ASCII."""

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
    """What was found in some texts."""

    terms: list[Terms32]
    """Of their words, each with its row, in parts."""
    alone: Places
    """Where there are words of scripts without spaces, in bytes."""
    unread: Places
    """Where an escape is followed by what is part of the letter: what it would be without has to be
    read.
    """


class _Rows:
    """The rows of texts that are joined by `END`."""

    def __init__(self, data: bytes, rows: Terms32) -> None:
        """Take the joined texts and the row of each."""
        self._rows = rows
        self._ends = np.flatnonzero(np.frombuffer(data, np.uint8) == END) + _BEFORE

    def of(self, places: Places) -> Terms32:
        """Return the rows of some places, which rise, `_BEFORE` bytes further than in the data."""
        bounds = np.searchsorted(places, self._ends)
        return np.repeat(self._rows, np.diff(bounds, prepend=0, append=places.size))


class _Folded:
    """A text in which all letters are folded, signs are as they were, and all else is zero."""

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
        """Write what characters beyond ASCII fold to."""
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
    """Find the terms of texts in UTF-8, which `END` is between, each with the row of its text."""
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
    """List the characters beyond ASCII of a text, and where they begin."""
    raw = np.frombuffer(data, np.uint8)
    others = raw[raw > _LAST_OF_ASCII].tobytes().decode()
    return np.frombuffer(others.encode("utf-32-le"), "<u4"), np.flatnonzero(raw >= _LEAD)


def _behind_escapes(data: bytes, places: Places) -> Places:
    """Choose the places that an escape of JSON is directly before."""
    raw = np.frombuffer(bytes(_BEFORE) + data, np.uint8)
    letters = raw[places + _BEFORE - 1]
    slashes = raw[places + _BEFORE - 2]
    behind: Places = places[_IS_ESCAPE[letters] & (slashes == _BACKSLASH)]
    return behind


def _with_folded(data: bytes, hard: Places) -> bytes:
    """Fold all that stands, between characters of ASCII that are in no word, around some
    characters.
    """
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
        # The letter of an escape is no word between two others.
        words = np.delete(starts, behind[lengths[behind] == 1])
        terms += _alone_terms(folded, rows_of.of(folded.alone), words)
    behind = behind[lengths[behind] > 1]
    if behind.size:
        starts = np.concatenate((starts, starts[behind] + 1))
        lengths = np.concatenate((lengths, lengths[behind] - 1))
        rows = np.concatenate((rows, rows[behind]))
    return terms + _word_terms(folded.bytes, rows, starts, lengths)


def _behind_backslashes(folded: _Folded, starts: Places) -> Places:
    """Choose the words whose first letter may be that of an escape, by their numbers."""
    if not folded.has_escapes:
        return _NO_PLACES
    behind = np.flatnonzero(folded.raw[starts - 1] == _BACKSLASH)
    chosen: Places = behind[_IS_ESCAPE[folded.raw[starts[behind]]]]
    return chosen


def _joint_terms(folded: _Folded, rows_of: _Rows) -> Terms32:
    """Hash the joints of texts, as they are written: before any letter beyond ASCII is changed."""
    starts, lengths = joint_arrays.joints_in(folded.bytes, np.flatnonzero(folded.are_signs))
    eight = _eight(folded.bytes)
    return _hashed(eight, eight[starts], starts, lengths, _JOINT) | rows_of.of(starts)


def _eight(text: Bytes) -> Hashes:
    """See a text as numbers of eight bytes, one from each byte on."""
    return np.ndarray((text.size - hashes.PIECE_BYTES + 1,), "<u8", text.data, strides=(1,))


def _word_terms(folded: Bytes, rows: Terms32, starts: Places, lengths: Places) -> list[Terms32]:
    """Hash words, and the first characters of the longer ones."""
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
    """Count the bytes of the first characters of words; more than there are when the word is
    shorter.
    """
    ends = starts
    for _ in range(hashes.PREFIX_CHARACTERS):
        ends = ends + _WIDTHS[folded[ends]]
    return ends - starts


def _alone_terms(folded: _Folded, rows: Terms32, starts: Places) -> list[Terms32]:
    """Hash words of scripts without spaces, whose rows are given, and those that follow each other
    as pairs.
    """
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
    """Hash the bytes from each start on, of which the first eight are read already."""
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
    """Return the hash in the bits above those of a row."""
    return (mixed * kind >> _END_SHIFT).astype(np.uint32) << _ROW_BITS
