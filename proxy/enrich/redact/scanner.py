r"""The single pass over a text that finds the literals of rules and possible secret names.

Strategy: one Aho-Corasick automaton of all literals. Its states are bounded, and its time depends
only on the length of the text. An expression over all rules instead builds new states for each
text, at 40 to 500 us a KiB. Everything else examines only the surroundings of these matches. The
readers of one text ask one after another, so the last result is kept.

A match must start at a word boundary: no letter, digit or underscore precedes it. An escape ends a
word, even if it is not decoded (`\n`, `\u0020`, `%20`). After an underscore a match counts only if
it looks random, because keys are named this way (`batch_sk-proj-…`). In binary data the preceding
letter or digit may be a length.
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
"""Position of a literal that may begin a secret, and the rule it belongs to."""
ESCAPES: Final = tuple(b"\\u00%d" % digit for digit in range(2, 8))
"""JSON escapes of ASCII characters, which a name may contain."""


_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_WORD_BYTES: Final = 24
"""Longer words are left to each reader."""
_SHORT_BYTES: Final = 4
"""Literals up to this length occur in ordinary words and programs, such as `s.` in
`this.length`.
"""
_ESCAPE_BYTES: Final = 10
_JOINS: Final = frozenset(b"0123456789_-.[]%\\&;") | frozenset(range(0x80, 0x100))
"""Bytes that, next to a word, may belong to a longer name or to an escape."""


@lru_cache(8)
def _automaton(literals: tuple[bytes, ...]) -> BytesAhoCorasick:
    """Return the automaton of some literals. It takes 0.1 s to build and 20 MB, so equal sets share
    one.
    """
    return BytesAhoCorasick(literals, implementation=Implementation.DFA)


class Scanner:
    """Finds the literals of rules and the anchors of secret names. Not thread-safe: it keeps its
    last result.
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
        """Search for the literals of rules and for the anchors of names (`naming/anchors.py`).

        Args:
            rules: Rules whose literals are searched for.
            anchors: Texts; each secret name contains at least one.
            may_name: Returns True if any reader takes a word of ASCII letters for a secret name.
                Other words are skipped: nearly all matches of short names lie in words such as
                `signal` and `passing`.
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
        """Return False if a text has no match at all, as most have none."""
        return bool(self._scan(text))

    def candidates(self, text: bytes) -> list[int]:
        """Return the positions of possible secrets that only show once the escapes around them are
        decoded.
        """
        if not self._scan(text):
            return []
        names = [start for start, _ in self.names(text)]
        return names + [at for at, _ in self._candidates(text)]

    def names(self, text: bytes) -> list[Span]:
        """Return the spans of anchors of secret names, in order."""
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
        """Return the positions of escaped ASCII characters."""
        first = self._names
        last = self._escapes
        return [start for kind, start, _ in self._scan(text) if first <= kind < last]

    def forms(self, text: bytes, *, is_octets: bool = False) -> list[Edit]:
        """Find secrets by rules; they may overlap."""
        if not self._scan(text):
            return []
        if is_octets:
            candidates = list(self._find_candidates(text, is_octets=True))
        else:
            candidates = self._candidates(text)
        return self._found(text, candidates, is_octets=is_octets)

    def begins_in(self, run: bytes) -> bool:
        """True if an unbroken run of characters begins like a secret."""
        return run.startswith(self._begins)

    def begins_behind_sign(self, run: bytes) -> bool:
        """True if a secret begins within a run of base64, after one of its signs or the end of a
        line.
        """
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
            # Nearly all candidates fail the prefilter, the cheapest test.
            if form.prefilter(text, at, at + USUAL_BYTES) is None or at < passed.get(form, 0):
                continue
            if form.is_costly:
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
        """Return the literals of a text that may begin a secret, without decoding escapes."""
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
            # Nearly all literals outside secrets lie within a word. For the others the form
            # decides. An escape may end a word.
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
                if not short[number] or form.prefilter(text, at, at + USUAL_BYTES) is not None:
                    yield at, form


def _word_of(text: bytes, start: int, stop: int) -> bytes | None:
    """Return the word of ASCII letters around a match; None if it may belong to a longer name."""
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
    if word.isalpha():
        return word
    return None


@cache
def _built_in() -> Scanner:
    return Scanner(built_in_rules())


def begins_secret(run: bytes) -> bool:
    """True if a run of token bytes, cut by a window, begins like a known secret."""
    return _built_in().begins_in(run)


def begins_within(run: bytes) -> bool:
    """True if a known secret begins within a run of base64, after one of its signs. Random runs
    seldom contain one.
    """
    return _built_in().begins_behind_sign(run)
