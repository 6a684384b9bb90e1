"""The automaton of a pattern (Glushkov): a position for each leaf of its parse tree, and which may
follow which.

Strategy: what `re` parses is walked once. An assertion of one character is a condition of the gap
that it stands in; a longer look ahead is a branch that leads nowhere. Small counted repeats are
written out, others are loops that know their bound. Leaving a possessive repeat or an atomic group,
a path must not go on with what the group would have taken.
"""

import re
import re._constants as constants  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from tests.support.patterns.alphabet import Alphabet

_MAX_COPIES: Final = 16
"""Of the body of a counted repeat."""
_MAX_COPIED: Final = 64
"""Positions that a repeat is written out to."""
START: Final = 0
"""The position before the pattern: where the pattern is searched for, it goes on over all text."""

Use = Literal["search", "match", "fullmatch"]
"""How a pattern is asked for."""
Gap = tuple[int, int]
"""The characters that may stand before and behind a place."""


@dataclass(frozen=True)
class Step:
    """That one position may follow another."""

    source: int
    target: int
    before: int
    behind: int
    repeat: tuple[int, int | None] | None = None
    """The group whose next turn it begins, and how many there may be; None for any number."""
    is_possessive: bool = False
    taken: tuple[tuple[int, int], ...] = ()
    """Groups that it leaves for good, each with the characters that would have stayed in it."""


@dataclass
class Fragment:
    """A part of a pattern: how it is entered, left, and passed without a character."""

    first: list[tuple[int, Gap]] = field(default_factory=list)
    last: list[tuple[int, Gap, tuple[tuple[int, int], ...]]] = field(default_factory=list)
    empty: list[Gap] = field(default_factory=list)


class Automaton:
    """The positions of a pattern and the steps between them."""

    def __init__(self, pattern: re.Pattern[bytes] | re.Pattern[str], use: Use) -> None:
        """Walk a pattern's parse tree: searched for, it may begin anywhere; a full match ends with
        the text.
        """
        self.alphabet = Alphabet(is_bytes=isinstance(pattern.pattern, bytes))
        self.sets = [self.alphabet.any | self.alphabet.begin]
        self.steps: list[Step] = []
        self.groups: dict[int, set[int]] = {}
        """The positions of possessive repeats and atomic groups."""
        self.ahead: set[int] = set()
        """Positions that are looked at only."""
        everywhere = (self.alphabet.all, self.alphabet.all)
        tree = parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
        whole = self._sequence(tree, tree.state.flags)
        if use == "fullmatch":
            whole = self._then(whole, Fragment(empty=[(self.alphabet.all, self.alphabet.end)]))
        start = Fragment(last=[(START, everywhere, ())])
        self._join(start, whole)
        self.accepts = {START: whole.empty}
        """Where the pattern may end, and in which gaps."""
        for position, gap, _ in whole.last:
            self.accepts.setdefault(position, []).append(gap)
        if use == "search":
            self.steps.append(Step(START, START, self.alphabet.all, self.alphabet.any))

    def _leaf(self, characters: int) -> Fragment:
        self.sets.append(characters)
        position = len(self.sets) - 1
        everywhere = (self.alphabet.all, self.alphabet.all)
        return Fragment([(position, everywhere)], [(position, everywhere, ())])

    def _join(self, before: Fragment, behind: Fragment, **marks: Any) -> None:
        for source, (left, right), taken in before.last:
            for target, (also_left, also_right) in behind.first:
                step = Step(
                    source, target, left & also_left, right & also_right, taken=taken, **marks
                )
                if step.before & self.sets[source] and step.behind & self.sets[target]:
                    self.steps.append(step)

    def _then(self, before: Fragment, behind: Fragment) -> Fragment:
        self._join(before, behind)
        passed = [
            (target, both)
            for empty in before.empty
            for target, gap in behind.first
            if (both := _and(empty, gap))
        ]
        held = [
            (source, both, taken)
            for source, gap, taken in before.last
            for empty in behind.empty
            if (both := _and(gap, empty))
        ]
        empty = [
            both for gap in before.empty for other in behind.empty if (both := _and(gap, other))
        ]
        return Fragment(before.first + passed, behind.last + held, empty)

    def _sequence(self, nodes: Iterable[tuple[Any, Any]], flags: int) -> Fragment:
        whole = self._nothing()
        for node in nodes:
            whole = self._then(whole, self._node(node, flags))
        return whole

    def _nothing(self) -> Fragment:
        return Fragment(empty=[(self.alphabet.all, self.alphabet.all)])

    def _node(self, node: tuple[Any, Any], flags: int) -> Fragment:
        kind, value = node
        if kind in {constants.MAX_REPEAT, constants.MIN_REPEAT, constants.POSSESSIVE_REPEAT}:
            low, high, body = value
            return self._repeat(
                low, high, body, flags, is_possessive=kind is constants.POSSESSIVE_REPEAT
            )
        if kind is constants.SUBPATTERN:
            _, added, removed, body = value
            return self._sequence(body, (flags | added) & ~removed)
        if kind is constants.BRANCH:
            return _either([self._sequence(body, flags) for body in value[1]])
        if kind is constants.ATOMIC_GROUP:
            first = len(self.sets)
            return self._closed(self._sequence(value, flags), first)
        if kind is constants.AT:
            return Fragment(empty=self._at(value, flags))
        if kind in {constants.ASSERT, constants.ASSERT_NOT}:
            return self._assertion(value[0], value[1], flags, is_wanted=kind is constants.ASSERT)
        if kind is constants.GROUPREF:
            return self._leaf(self.alphabet.any)

        return self._leaf(self.alphabet.set_of(node, flags))

    def _at(self, where: Any, flags: int) -> list[Gap]:
        alphabet = self.alphabet
        line = alphabet.line_feed if flags & re.MULTILINE else 0
        words = alphabet.words(flags)
        others = alphabet.all & ~words
        gaps: dict[Any, list[Gap]] = {
            constants.AT_BEGINNING: [(alphabet.begin | line, alphabet.all)],
            constants.AT_BEGINNING_STRING: [(alphabet.begin, alphabet.all)],
            constants.AT_END: [(alphabet.all, alphabet.end | alphabet.line_feed)],
            constants.AT_END_STRING: [(alphabet.all, alphabet.end)],
            constants.AT_BOUNDARY: [(words, others), (others, words)],
            constants.AT_NON_BOUNDARY: [(words, words), (others, others)],
        }
        return gaps[where]

    def _assertion(self, direction: int, body: Any, flags: int, *, is_wanted: bool) -> Fragment:
        alphabet = self.alphabet
        characters = self._one_character(body, flags)
        if characters is not None:
            allowed = characters if is_wanted else alphabet.all & ~characters
            return Fragment(
                empty=[(allowed, alphabet.all) if direction < 0 else (alphabet.all, allowed)]
            )
        if direction < 0:  # of a fixed width: it costs the same everywhere
            last = self._one_character(list(body)[-1:], flags) if is_wanted else None
            return Fragment(
                empty=[(self.alphabet.all if last is None else last, self.alphabet.all)]
            )

        first = len(self.sets)
        looked_at = self._sequence(body, flags)
        self.ahead.update(range(first, len(self.sets)))
        return Fragment(looked_at.first, [], self._nothing().empty)

    def _one_character(self, body: Any, flags: int) -> int | None:
        """Return the characters, or ends of the text, one of which an assertion looks at; None
        where it sees more.
        """
        nodes = list(body)
        if len(nodes) != 1:
            return None

        kind, value = nodes[0]
        if kind is constants.BRANCH:
            parts = [self._one_character(part, flags) for part in value[1]]
            if None in parts:
                return None
            return _union(part for part in parts if part is not None)

        if kind is constants.SUBPATTERN:
            return self._one_character(value[3], (flags | value[1]) & ~value[2])
        if kind is constants.AT:
            ends = {
                constants.AT_END_STRING: self.alphabet.end,
                constants.AT_BEGINNING_STRING: self.alphabet.begin,
            }
            return ends.get(value)
        if kind in {
            constants.LITERAL,
            constants.NOT_LITERAL,
            constants.ANY,
            constants.IN,
            constants.CATEGORY,
        }:
            return self.alphabet.set_of(nodes[0], flags)

        return None

    def _repeat(
        self, low: int, high: Any, body: Any, flags: int, *, is_possessive: bool
    ) -> Fragment:
        first = len(self.sets)
        whole = self._sequence(body, flags)

        size = len(self.sets) - first
        if 1 < high <= _MAX_COPIES and size * high <= _MAX_COPIED:
            whole = self._copies(whole, low, high, body, flags)
        elif high != 1:
            bound = None if high is constants.MAXREPEAT else int(high)
            if low != high or bound is None:
                self._join(whole, whole, repeat=(first, bound), is_possessive=is_possessive)

        if not low:
            whole.empty = [*whole.empty, (self.alphabet.all, self.alphabet.all)]
        if is_possessive:
            return self._closed(whole, first)

        return whole

    def _copies(self, whole: Fragment, low: int, high: int, body: Any, flags: int) -> Fragment:
        """Write a repeat out: what may be left out is nested, so that there is one way for each
        number of turns.
        """
        behind = self._nothing()
        for turn in range(high - 1, 0, -1):
            behind = self._then(self._sequence(body, flags), behind)
            if turn >= low:
                behind.empty = [*behind.empty, (self.alphabet.all, self.alphabet.all)]
        return self._then(whole, behind)

    def _closed(self, body: Fragment, first: int) -> Fragment:
        """Forbid to leave a group, the positions from `first` on, with what it would have taken."""
        inside = set(range(first, len(self.sets)))
        self.groups[first] = inside
        stays: dict[int, int] = {}

        for step in self.steps:
            if step.source in inside and step.target in inside:
                stays[step.source] = stays.get(step.source, 0) | (
                    self.sets[step.target] & step.behind
                )

        last = [
            (source, gap, (*taken, (first, stays.get(source, 0))))
            for source, gap, taken in body.last
        ]
        return Fragment(body.first, last, body.empty)


def _and(one: Gap, other: Gap) -> Gap | None:
    before = one[0] & other[0]
    behind = one[1] & other[1]
    return (before, behind) if before and behind else None


def _either(parts: list[Fragment]) -> Fragment:
    whole = Fragment()
    for part in parts:
        whole.first += part.first
        whole.last += part.last
        whole.empty += part.empty
    return whole


def _union(parts: Iterable[int]) -> int:
    whole = 0
    for part in parts:
        whole |= part
    return whole
