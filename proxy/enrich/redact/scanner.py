r"""The one pass over a text: where a literal of a rule stands, and where a name of a secret may.

Strategy: one automaton of all literals (Aho-Corasick), whose states are bounded and whose time
depends on the length of a text alone, whatever is in it: an expression over all kinds at once
learns states of each new text, at 40 to 500 us a KiB. Everything else looks around what this finds.
Readers of one text ask one after the other, so the last answer is kept.

A form has no letter, digit or underscore before it, as a word that goes on is another one; an
escape ends a word, also where it is not read (`\n`, `\u0020`, `%20`). Behind an underscore it is
one if it was drawn at random, as keys are named (`batch_sk-proj-…`). In octets a letter or digit
may be a length.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Final

from ahocorasick_rs import BytesAhoCorasick, Implementation

from proxy.enrich.redact.edits import MARK, Edit, most_candidates
from proxy.enrich.redact.forms import USUAL_BYTES, WITHIN_WORD, Form
from proxy.enrich.redact.octets import BACKSLASH, PERCENT
from proxy.enrich.redact.rule import Rule, built_in_rules

Span = tuple[int, int]
Candidate = tuple[int, Form]
"""Where a literal stands that may begin a secret, and what has it."""
ESCAPES: Final = tuple(b"\\u00%d" % digit for digit in range(2, 8))
"""How characters of ASCII are escaped in JSON, of which a name may be made."""


_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_WORD_BYTES: Final = 24
"""What is longer is asked of each reader."""
_SHORT_BYTES: Final = 4
"""Literals up to here stand in ordinary words and programs, such as `s.` in `this.length`."""
_ESCAPE_BYTES: Final = 10
_JOINS: Final = frozenset(b"0123456789_-.[]%\\&;") | frozenset(range(0x80, 0x100))
"""Beside a word they may belong to a name, or to an escape."""


@lru_cache(8)
def _automaton(literals: tuple[bytes, ...]) -> BytesAhoCorasick:
    """Return the automaton of literals, which takes 0.1 s to make and 20 MB: it is the same for all
    that look for the same.
    """
    return BytesAhoCorasick(literals, implementation=Implementation.DFA)


class Scanner:
    """Finds the literals of rules and the anchors of names. Not thread-safe: it keeps its last
    answer.
    """

    __slots__ = (
        "_automaton", "_begin_words", "_begins", "_escapes", "_forms", "_hits", "_likely", "_may_name", "_names",
        "_places", "_short", "_text",
    )  # fmt: skip

    def __init__(
        self,
        rules: Iterable[Rule],
        anchors: Iterable[bytes] = (),
        may_name: Callable[[bytes], bool] | None = None,
    ) -> None:
        """Look for rules, and for what each name of a secret has (`naming/anchors.py`).

        Args:
            rules: Of which the literals are looked for.
            anchors: Texts of which each name of a secret has one.
            may_name: Whether a word of ASCII letters is the name of a secret to any reader. Words that are none are
                left out: nearly all of what is found of short names stands in words as `signal` and `passing`.
        """
        self._may_name: Final = may_name
        forms: dict[bytes, list[Form]] = {}
        for rule in rules:
            form = Form(rule)
            for literal in rule.literals:
                forms.setdefault(literal.encode(), []).append(form)

        names = sorted({*anchors} - {*ESCAPES})
        self._names: Final = len(names)
        self._escapes: Final = self._names + len(ESCAPES)
        self._forms: Final = [*forms.values()]
        self._begin_words: Final = [
            all(form.begins_word(literal) for form in its) for literal, its in forms.items()
        ]
        self._short: Final = [
            len(literal) <= _SHORT_BYTES and all(form.is_token for form in its)
            for literal, its in forms.items()
        ]
        self._begins: Final = tuple(
            literal for literal, its in forms.items() if any(form.is_token for form in its)
        )
        literals = [*names, *ESCAPES, *forms]
        self._automaton: Final = _automaton(tuple(literals))
        self._text = b""
        self._hits: list[tuple[int, int, int]] = []
        self._places: list[Span] | None = None
        self._likely: list[Candidate] | None = None

    def _scan(self, text: bytes) -> list[tuple[int, int, int]]:
        if text is not self._text:
            self._hits = self._automaton.find_matches_as_indexes(text, True)
            self._text = text
            self._places = None
            self._likely = None
        return self._hits

    def has_hits(self, text: bytes) -> bool:
        """Whether anything is found in a text at all: nothing else needs to be asked of most."""
        return bool(self._scan(text))

    def candidates(self, text: bytes) -> list[int]:
        """Return where a secret may be that is seen only once the escapes around it are read."""
        if not self._scan(text):
            return []
        names = [start for start, _ in self.names(text)]
        return names + [at for at, _ in self._candidates(text)]

    def names(self, text: bytes) -> list[Span]:
        """Return where something stands that each name of a secret has, in order."""
        hits = self._scan(text)
        if self._places is None:
            last = self._names
            places = [(start, stop) for kind, start, stop in hits if kind < last]
            if (may_name := self._may_name) is not None:
                places = [
                    place
                    for place in places
                    if (word := _word_of(text, *place)) is None or may_name(word)
                ]

            self._places = places

        return self._places

    def escapes(self, text: bytes) -> list[int]:
        """Return where characters of ASCII are escaped."""
        first = self._names
        last = self._escapes
        return [start for kind, start, _ in self._scan(text) if first <= kind < last]

    def forms(self, text: bytes, *, is_octets: bool = False) -> list[Edit]:
        """Find secrets of rules; they may overlap."""
        if not self._scan(text):
            return []
        if is_octets:
            candidates = list(self._find_candidates(text, is_octets=True))
        else:
            candidates = self._candidates(text)
        return self._found(text, candidates, is_octets=is_octets)

    def begins_in(self, run: bytes) -> bool:
        """Whether an unbroken run of characters begins as a secret does."""
        return run.startswith(self._begins)

    def begins_behind_sign(self, run: bytes) -> bool:
        """Whether a secret begins within a run of base64, behind a sign of it or the end of a line."""
        first = self._escapes
        return any(
            form.begins_behind_sign(run, at)
            for kind, at, _ in self._scan(run)
            if kind >= first
            for form in self._forms[kind - first]
        )

    def _found(
        self,
        text: bytes,
        candidates: Sequence[Candidate],
        *,
        is_octets: bool,
    ) -> list[Edit]:
        found: list[Edit] = []
        passed: dict[Form, int] = {}
        searched: dict[Form, int] = {}
        left = most_candidates(text)

        for at, form in candidates:
            # Nearly all candidates are none by their expression, of which one look costs least.
            if form.look(text, at, at + USUAL_BYTES) is None or at < passed.get(form, 0):
                continue
            if form.is_dear:
                left -= 1
                if left < 0:
                    searched.setdefault(form, at)
                    continue
            if (match := form.match(text, at, is_octets=is_octets)) is None:
                continue

            start, stop, is_secret = match
            passed[form] = stop
            if is_secret:
                found.append(Edit(start, stop, MARK, form.id))

        for form, at in searched.items():
            spans = form.search(text, max(at, passed.get(form, 0)), is_octets=is_octets)
            found += (Edit(start, stop, MARK, form.id) for start, stop in spans)
        return found

    def _candidates(self, text: bytes) -> list[Candidate]:
        """Return the literals of a text that may begin a secret, its escapes not read."""
        self._scan(text)
        if self._likely is None:
            self._likely = list(self._find_candidates(text, is_octets=False))
        return self._likely

    def _find_candidates(self, text: bytes, *, is_octets: bool) -> Iterator[Candidate]:
        first = self._escapes
        begin_words = self._begin_words
        short = self._short
        has_backslash = BACKSLASH in text
        has_percent = PERCENT in text

        for kind, at, _ in self._scan(text):
            if kind < first:
                continue
            number = kind - first
            # Nearly all literals that are none of a secret's stand within a word; in others the
            # form decides. An escape may end a word.
            if (
                begin_words[number]
                and at > 0
                and not is_octets
                and text[at - 1] in WITHIN_WORD
                and not (
                    has_backslash
                    and text.find(b"\\", at - _ESCAPE_BYTES if at > _ESCAPE_BYTES else 0, at) >= 0
                )
                and not (has_percent and text[at - 3 : at - 2] == b"%")
            ):
                continue

            for form in self._forms[number]:
                if not short[number] or form.look(text, at, at + USUAL_BYTES) is not None:
                    yield at, form


def _word_of(text: bytes, start: int, stop: int) -> bytes | None:
    """Return the word of ASCII letters around a part of it; None where it may belong to a longer
    name.
    """
    before = text[max(0, start - _WORD_BYTES) : start]
    behind = text[stop : stop + _WORD_BYTES]
    left = len(before) - len(before.rstrip(_LETTERS))
    right = len(behind) - len(behind.lstrip(_LETTERS))
    if not left and not right:
        return None

    begin = start - left
    end = stop + right
    if left == _WORD_BYTES or right == _WORD_BYTES:
        return None
    if (begin and text[begin - 1] in _JOINS) or (end < len(text) and text[end] in _JOINS):
        return None

    word = text[begin:end]
    return word if word.isalpha() else None


@cache
def _built_in() -> Scanner:
    return Scanner(built_in_rules())


def begins_secret(run: bytes) -> bool:
    """Whether an unbroken run of token bytes that a window cuts off begins as known secrets begin."""
    return _built_in().begins_in(run)


def begins_within(run: bytes) -> bool:
    """Whether a known secret begins within a run of base64, behind a sign of it: random ones seldom
    have one.
    """
    return _built_in().begins_behind_sign(run)
