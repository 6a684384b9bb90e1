"""What would be taken out of a text, by which rule, and where it stands in the text as it was sent.

Strategy: a text is redacted as a body is, and the steps in which that was done are followed
(`edits.py`). Each is an exact list of edits of the whole text or of a piece of it, pieces that are
read first and written again included; so what stands where is known after each, and with it which
bytes of the text as it was sent a rule has taken out. Where a piece stands is not noted. It is
looked for, as pieces come in the order of the text; and where another place would have to be meant,
the result is another text than the redacted one, and the next place is tried.

Invariant: all that was taken out is found, each byte once, by the rule that took it out first.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from proxy.enrich.formats.charset import to_utf8
from proxy.enrich.formats.content import content_of
from proxy.enrich.redact.edits import Edit, Hits, Step, Steps
from proxy.enrich.redact.readings import differing
from proxy.enrich.redact.redactor import Redactor
from storage.record import Content

_MAX_PLACES: Final = 64
"""At which one piece is looked for."""
_MAX_TRIES: Final = 200
_MAX_CHOICES: Final = 32
_ENDS: Final = b"&=;?# \t\r\n\"'"
"""Beside pieces of a text."""
_QUOTES: Final = b"\"'\\ \t\r\n#"
"""What stands around a secret, and around what stands in for it."""
_OTHER: Final = "other"
"""The rule of what was taken out without a step."""


class Found(NamedTuple):
    """What is taken out: the line and column of its first character, from 1 on, its characters, and
    by which rule.
    """

    line: int
    column: int
    length: int
    rule: str


class Explanation(NamedTuple):
    """What was taken out of a text, in its order, what is left, and what it is, where that is no
    text.
    """

    found: list[Found]
    redacted: bytes
    content: Content | None


def explain(
    make: Callable[[Hits], Redactor], data: bytes, content_type: bytes = b""
) -> Explanation:
    """Redact a body, all of which is known, and say what was taken out.

    Args:
        make: Makes the redactor, which counts in what it is given.
        data: As it was sent, its coding undone.
        content_type: As sent; empty when there was none.
    """
    steps = Steps()
    redactor = make(steps)
    text = data if (read := to_utf8(data, b"", content_type)) is None else read[0]
    content = content_of(text, content_type)
    if content == "media":
        return Explanation([], text, content)

    redacted = b"".join(redactor.redact_body(text, b"", content_type, False, content=content))
    taken = _followed(text, steps.made, redacted)
    return Explanation(_in_lines(text, taken), redacted, content)


def explain_head(make: Callable[[Hits], Redactor], head: bytes) -> Explanation:
    """Redact the head of a request, and say what was taken out; its first line is the request line."""
    steps = Steps()
    redacted = make(steps).redact_head(head)
    return Explanation(_in_lines(head, _followed(head, steps.made, redacted)), redacted, None)


class _Taken(NamedTuple):
    start: int
    stop: int
    rule: str


class _Piece(NamedTuple):
    """So many bytes of a text, and for what of the text as it was sent they stand."""

    size: int
    start: int
    stop: int
    is_kept: bool

    def cut(self, at: int) -> tuple["_Piece", "_Piece"]:
        """Return both sides of a place; what was replaced stands on either side for all that it
        did.
        """
        if not self.is_kept:
            return self._replace(size=at), self._replace(size=self.size - at)
        middle = self.start + at
        return self._replace(size=at, stop=middle), self._replace(size=self.size - at, start=middle)


class _State(NamedTuple):
    """A text after some steps: of what pieces it is, what was taken out so far, and where the last
    step was made.
    """

    text: bytes
    pieces: tuple[_Piece, ...]
    taken: tuple[_Taken, ...]
    last: int

    def after(self, step: Step, at: int) -> "_State":
        """Return the text after a step that is made at a place."""
        text = self.text[:at] + step.after + self.text[at + len(step.before) :]
        cursor = _Cursor(self.pieces)
        taken = list(self.taken)

        for edit in step.edits:
            cursor.keep(at + edit.start)
            gone = cursor.replace(at + edit.stop, len(edit.stands_in))
            if edit.rule and gone:
                start, stop = _span_of(
                    _inner(gone, step.before[edit.start : edit.stop], edit.stands_in)
                )
                taken += _new(_Taken(start, stop, edit.rule), taken)

        return _State(text, cursor.whole(), tuple(taken), at)


class _Cursor:
    """Walks over the pieces of a text from its beginning, and makes those of another."""

    def __init__(self, pieces: Sequence[_Piece]) -> None:
        self._left = list(reversed(pieces))
        self._made: list[_Piece] = []
        self._at = 0

    def keep(self, until: int) -> None:
        """Take over what stands before a place."""
        self._made += self.take(until)

    def replace(self, until: int, size: int) -> list[_Piece]:
        """Put something of a size in the place of what stands before a place; return that."""
        gone = self.take(until)
        if gone:
            start, stop = _span_of(gone)
        else:
            if self._left:
                start = self._left[-1].start
            else:
                start = self._made[-1].stop if self._made else 0
            stop = start

        if size:
            self._made.append(_Piece(size, start, stop, False))
        return gone

    def whole(self) -> tuple[_Piece, ...]:
        return (*self._made, *reversed(self._left))

    def take(self, until: int) -> list[_Piece]:
        """Leave out what stands before a place; return it."""
        taken: list[_Piece] = []
        while self._at < until:
            piece = self._left.pop()
            if self._at + piece.size > until:
                piece, rest = piece.cut(until - self._at)
                self._left.append(rest)
            self._at += piece.size
            taken.append(piece)

        return taken


def _span_of(pieces: Sequence[_Piece]) -> tuple[int, int]:
    return min(piece.start for piece in pieces), max(piece.stop for piece in pieces)


def _inner(pieces: Sequence[_Piece], gone: bytes, stands_in: bytes) -> Sequence[_Piece]:
    """Leave out quotes and blanks at both ends of what is gone that what stands in has, too."""
    least = min(len(gone), len(stands_in))
    front = next(
        (at for at in range(least) if gone[at] != stands_in[at] or gone[at] not in _QUOTES), least
    )
    ends = range(1, least - front + 1)
    back = next(
        (at for at in ends if gone[-at] != stands_in[-at] or gone[-at] not in _QUOTES),
        len(ends) + 1,
    )
    cursor = _Cursor(pieces)
    cursor.keep(front)
    return cursor.take(len(gone) - back + 1) or pieces


def _new(given: _Taken, taken: Sequence[_Taken]) -> list[_Taken]:
    """Return what of a span was not taken out before."""
    spans = [given]
    for other in taken:
        spans = [
            part
            for span in spans
            for part in (
                span._replace(stop=min(span.stop, other.start)),
                span._replace(start=max(span.start, other.stop)),
            )
            if part.start < part.stop
        ]

    return spans


def _followed(text: bytes, steps: Sequence[Step], result: bytes) -> list[_Taken]:
    """Follow steps from a text to what came of it; return what they took out."""
    begun = _State(text, (_Piece(len(text), 0, len(text), True),), (), 0)
    choices: list[tuple[_State, int, int]] = [(begun, 0, -1)]
    likeliest: _State | None = None

    for _ in range(_MAX_TRIES):
        if not choices:
            break
        state = _taken_on(*choices.pop(), steps, choices)
        if state.text == result:
            return sorted(state.taken)
        likeliest = likeliest or state

    assert likeliest is not None
    step = Step(likeliest.text, tuple(_others(likeliest.text, result)), result)
    return sorted(likeliest.after(step, 0).taken)


def _taken_on(
    state: _State,
    index: int,
    at: int,
    steps: Sequence[Step],
    choices: list[tuple[_State, int, int]],
) -> _State:
    """Make steps from one on, the first at a place if that is given; add where else others might be
    made.
    """
    while index < len(steps):
        step = steps[index]
        if at < 0:
            at, *others = (*_places(state, step.before), -1)
            choices += [(state, index, other) for other in reversed(others) if other >= 0]
            del choices[:-_MAX_CHOICES]

        if at >= 0:  # else it was of something that was looked at, and is nowhere in the text
            state = state.after(step, at)
        index = index + 1
        at = -1

    return state


def _places(state: _State, piece: bytes) -> list[int]:
    """Return where a piece may stand, the likeliest place first: behind the last one, and between
    what ends pieces.
    """
    text = state.text
    if not piece:
        return []
    if text == piece:
        return [0]

    found = [*_all(text, piece, state.last), *_all(text, piece, 0)]
    return sorted(
        dict.fromkeys(found),
        key=lambda at: (not _is_delimited(text, at, len(piece)), at < state.last, at),
    )


def _all(text: bytes, piece: bytes, at: int) -> Iterator[int]:
    for _ in range(_MAX_PLACES):
        at = text.find(piece, at)
        if at < 0:
            return
        yield at
        at += 1


def _is_delimited(text: bytes, at: int, size: int) -> bool:
    stop = at + size
    return (at == 0 or text[at - 1] in _ENDS) and (stop == len(text) or text[stop] in _ENDS)


def _others(text: bytes, result: bytes) -> Iterator[Edit]:
    """Yield what was taken out without a step."""
    for edit in differing(text, result, b""):
        yield edit._replace(rule=_OTHER)


def _in_lines(text: bytes, taken: Sequence[_Taken]) -> list[Found]:
    """Say where spans stand, as an editor does."""
    ends = list(accumulate(map(len, text.splitlines(keepends=True))))
    starts = [0, *ends]
    found = []

    for start, stop, rule in taken:
        line = bisect_right(starts, start) - 1
        column = len(text[starts[line] : start].decode(errors="replace"))
        found.append(
            Found(line + 1, column + 1, len(text[start:stop].decode(errors="replace")), rule)
        )

    return found
