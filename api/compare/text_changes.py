"""What differs between two texts: by lines, and within a line, or any string, by words. Pure."""

import re
from typing import Final, Literal

from api.compare.alignment import differing, runs
from api.compare.json_changes import Changes, Kind
from api.http.responses import ApiObject

MAX_SHOWN_CHARACTERS: Final = 2000
"""Of a value, or of all segments of a string together; behind them stands `CUT`."""
CUT: Final = "…"
_AROUND: Final = 60
"""Characters that are shown of what is the same, on either side of a difference."""
_WORD: Final = re.compile(r"\w+|\s+|[^\w\s]")


class Segment(ApiObject):
    """A piece of a changed string; long ones that are the same are shortened."""

    change: Literal["same", "removed", "added"]
    text: str


def text_changes(old: str, new: str) -> Changes:
    """Return the lines that differ, by their number from 1 on either side."""
    ours = old.split("\n")
    theirs = new.split("\n")
    found = Changes()

    for i, j in differing(ours, theirs):
        kind: Kind = "added" if i is None else "removed" if j is None else "changed"
        at = i if i is not None else j or 0
        to = j if j is not None else i or 0
        values = None if i is None else ours[i], None if j is None else theirs[j]
        found.add(kind, (f"line {to + 1}",), (f"line {at + 1}",), *values)

    return found


def segments(old: str, new: str) -> list[Segment]:
    """Return how a string became another, word by word; empty where they have no word in common."""
    ours = _WORD.findall(old)
    theirs = _WORD.findall(new)
    pieces: list[Segment] = []
    i = 0
    j = 0

    for at, to, size in runs(ours, theirs):
        pieces += [Segment("removed", "".join(ours[i:at])), Segment("added", "".join(theirs[j:to]))]
        i = at + size
        j = to + size
        pieces.append(Segment("same", "".join(ours[at:i])))

    has_word = any(piece.change == "same" and re.search(r"\w", piece.text) for piece in pieces)
    if has_word:
        return _shortened([piece for piece in pieces if piece.text])

    return []


def _shortened(pieces: list[Segment]) -> list[Segment]:
    """Shorten long pieces that are the same, and all of them together."""
    left = MAX_SHOWN_CHARACTERS
    for place, piece in enumerate(pieces):
        if piece.change == "same" and len(piece.text) > 2 * _AROUND:
            before = piece.text[:_AROUND] if place else ""
            piece.text = before + CUT + (piece.text[-_AROUND:] if piece is not pieces[-1] else "")
        if len(piece.text) > left:
            piece.text = piece.text[:left] + CUT
            return pieces[: place + 1]

        left -= len(piece.text)

    return pieces
