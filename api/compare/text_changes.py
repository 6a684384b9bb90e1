"""Changes between two texts, by lines, and between two strings, by words."""

import re
from typing import Final, Literal

from api.compare.alignment import common_runs, unmatched
from api.compare.json_changes import Changes, Path
from api.http.responses import ApiObject

MAX_SHOWN_CHARACTERS: Final = 2000
"""Limit of a value, and of all segments of a string together. Longer ones end with `CUT`."""
CUT: Final = "…"
_CONTEXT: Final = 60
"""Characters of equal text that are shown on either side of a difference."""
_WORD: Final = re.compile(r"\w+|\s+|[^\w\s]")


class Segment(ApiObject):
    """A piece of a changed string; long equal pieces are shortened."""

    change: Literal["same", "removed", "added"]
    text: str


def text_changes(old: str, new: str) -> Changes:
    """Return the changed lines, each by its number from 1 on either side."""
    ours = old.split("\n")
    theirs = new.split("\n")
    found = Changes()
    for i, j in unmatched(ours, theirs):
        if i is None:
            assert j is not None
            found.add("added", _line(j), None, theirs[j])
        elif j is None:
            found.add("removed", _line(i), ours[i], None)
        else:
            found.add("changed", _line(j), ours[i], theirs[j], old_path=_line(i))

    return found


def _line(index: int) -> Path:
    return (f"line {index + 1}",)


def segments(old: str, new: str) -> list[Segment]:
    """Return the word-by-word changes between two strings; empty if they share no word."""
    ours = _WORD.findall(old)
    theirs = _WORD.findall(new)
    pieces: list[Segment] = []
    i = 0
    j = 0
    for at, to, size in common_runs(ours, theirs):
        pieces.append(Segment("removed", "".join(ours[i:at])))
        pieces.append(Segment("added", "".join(theirs[j:to])))
        i = at + size
        j = to + size
        pieces.append(Segment("same", "".join(ours[at:i])))

    if any(piece.change == "same" and re.search(r"\w", piece.text) for piece in pieces):
        return _shortened([piece for piece in pieces if piece.text])
    return []


def _shortened(pieces: list[Segment]) -> list[Segment]:
    """Shorten long equal pieces, then all of them together to the limit."""
    left = MAX_SHOWN_CHARACTERS
    for place, piece in enumerate(pieces):
        if piece.change == "same" and len(piece.text) > 2 * _CONTEXT:
            # At either end of the string, only one side borders on a difference.
            before = piece.text[:_CONTEXT] if place else ""
            if piece is not pieces[-1]:
                behind = piece.text[-_CONTEXT:]
            else:
                behind = ""
            piece.text = before + CUT + behind
        if len(piece.text) > left:
            piece.text = piece.text[:left] + CUT
            return pieces[: place + 1]

        left -= len(piece.text)

    return pieces
