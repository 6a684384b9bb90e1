"""Judges whether a pattern of `re` takes linear time, by the ambiguity of its automaton.

A pattern takes exponential time where some position is reached again from itself in two ways by one
text (EDA), and at least quadratic time where a text leads from a position to itself, from it to
another one, and from that to itself (IDA): each split of the text's repetitions between both is
tried. A search is a position before the pattern, which goes on over all text. (Weber and Seidl, On
the degree of ambiguity of finite automata, 1991.)

Neither costs anything where the second could end the pattern at once: then no other way is tried.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final, Literal

from tests.support.patterns.automaton import START, Automaton, Step, Use

MAX_TURNS: Final = 512
"""A repeat of so many at the most costs a constant a character."""
_MAX_STATES: Final = 400_000

Verdict = Literal["linear", "polynomial", "exponential"]
_Steps = dict[int, list[Step]]


class TooLarge(Exception):
    """A pattern has more states than are looked at."""


def judge(pattern: re.Pattern[bytes] | re.Pattern[str], use: Use = "search") -> tuple[Verdict, str]:
    """Return how a pattern's time grows with its text, and where it loops."""
    automaton = Automaton(pattern, use)
    where = _is_exponential(automaton)
    if where:
        return "exponential", where
    where = _is_polynomial(automaton)
    return ("polynomial", where) if where else ("linear", "")


def _is_exponential(automaton: Automaton) -> str:
    steps = _by_source(step for step in automaton.steps if not step.is_possessive)
    loops = _components(steps)
    component = {position: at for at, loop in enumerate(loops) for position in loop}
    inside: _Steps = defaultdict(list)

    for source, found in steps.items():
        inside[source] = [
            step
            for step in found
            if source in component and component.get(step.target) == component[source]
        ]

    for loop in loops:
        doubled = _doubled(automaton, inside, loop)
        if doubled is not None:
            return f"two ways from {_show(automaton, doubled)} to itself"
        pair = _split_pair(automaton, inside, loop)
        if pair is not None:
            return f"{_show(automaton, pair[0])} or {_show(automaton, pair[1])}"

    return ""


def _doubled(automaton: Automaton, inside: _Steps, loop: set[int]) -> int | None:
    """Find a step of a loop that can be taken in two ways."""
    for source in loop:
        for at, step in enumerate(inside[source]):
            for other in inside[source][:at]:
                if (
                    step.target != other.target
                    or not step.before & other.before & automaton.sets[source]
                ):
                    continue

                characters = _target_set(automaton, step) & _target_set(automaton, other)
                if characters and not _ends(automaton, source, characters):
                    return source

    return None


def _split_pair(automaton: Automaton, inside: _Steps, loop: set[int]) -> tuple[int, int] | None:
    """Find two positions that one text reaches from one position, and from which one text leads to
    one again.
    """
    begun = [(position, position, automaton.sets[position]) for position in loop]
    back: dict[tuple[int, int, int], set[tuple[int, int, int]]] = defaultdict(set)
    seen = set(begun)

    todo = list(begun)
    while todo:
        state = todo.pop()
        for following in _next_pairs(automaton, inside, state):
            back[following].add(state)
            if following not in seen:
                seen.add(following)
                todo.append(following)
                _check(seen)

    parted = [state for state in seen if state[0] != state[1]]
    if not parted:
        return None

    reaching = {state for state in seen if state[0] == state[1]}
    todo = list(reaching)
    while todo:
        for state in back[todo.pop()]:
            if state not in reaching:
                reaching.add(state)
                todo.append(state)

    return next(
        ((one, other) for one, other, _ in parted if any(s[:2] == (one, other) for s in reaching)),
        None,
    )


def _next_pairs(
    automaton: Automaton, inside: _Steps, state: tuple[int, int, int]
) -> Iterator[tuple[int, int, int]]:
    one, other, characters = state
    for step in inside[one]:
        for second in inside[other]:
            if not characters & step.before & second.before:
                continue
            following = _target_set(automaton, step) & _target_set(automaton, second)
            following &= ~_accepted(automaton, one, characters)
            if following:
                yield min(step.target, second.target), max(step.target, second.target), following


def _is_polynomial(automaton: Automaton) -> str:
    steps = _by_source(step for step in automaton.steps if not _is_short(step))
    loops = _components(steps)
    chains = _Chains(automaton)

    for first in loops:
        reached = _reached(steps, first)
        for second in loops:
            if not second & reached:
                continue
            for one in first:
                for other in second:
                    if one != other and other in reached and chains.has(one, other):
                        return f"{_show(automaton, one)}, then {_show(automaton, other)}"

    return ""


class _Chains:
    """The chains of an automaton; what is alike for many pairs of positions is worked out once."""

    def __init__(self, automaton: Automaton) -> None:
        self._automaton = automaton
        self._graphs: dict[frozenset[int], tuple[_Steps, _Steps, dict[int, set[int]]]] = {}

    def _graph(self, groups: frozenset[int]) -> tuple[_Steps, _Steps, dict[int, set[int]]]:
        """Return the steps within a turn of possessive groups, them backwards, and the loop of each
        position in one.
        """
        if groups not in self._graphs:
            steps = _by_source(
                step
                for step in self._automaton.steps
                if not _is_short(step)
                and not (step.is_possessive and step.repeat and step.repeat[0] in groups)
            )
            loops = {position: loop for loop in _components(steps) for position in loop}
            self._graphs[groups] = (steps, _turned(steps), loops)

        return self._graphs[groups]

    def has(self, one: int, other: int) -> bool:
        """Whether some text leads from `one` to itself and to `other`, and from `other` to itself."""
        groups = self._automaton.groups.items()
        steps, turned, loops = self._graph(
            frozenset(group for group, inside in groups if one in inside and other in inside)
        )
        characters = self._automaton.sets[one] & self._automaton.sets[other]
        if one not in loops or other not in loops or not characters:
            return False
        if any(
            one in inside and other not in inside and loops[one] <= inside for _, inside in groups
        ):
            return False  # where a group is left for good is tried once

        within = (loops[one], _reached(steps, {one}) & _reached(turned, {other}), loops[other])
        seen = {(one, one, other, characters)}

        todo = list(seen)
        while todo:
            for state in _next_triples(self._automaton, steps, within, todo.pop()):
                if state[:3] == (one, other, other):
                    return True
                if state not in seen:
                    seen.add(state)
                    todo.append(state)
                    _check(seen)

        return False


def _next_triples(
    automaton: Automaton,
    steps: _Steps,
    within: tuple[set[int], set[int], set[int]],
    state: tuple[int, int, int, int],
) -> Iterator[tuple[int, int, int, int]]:
    one, middle, other, characters = state
    for step in steps[one]:
        if step.target not in within[0]:
            continue
        for third in steps[other]:
            before = characters & step.before & third.before
            behind = _target_set(automaton, step) & _target_set(automaton, third)
            if third.target not in within[2] or not before or not behind:
                continue

            behind &= ~_accepted(automaton, other, before)
            for second in steps[middle]:
                following = behind & _target_set(automaton, second)
                if second.target in within[1] and before & second.before and following:
                    yield step.target, second.target, third.target, following


def _accepted(automaton: Automaton, position: int, characters: int) -> int:
    """Return the characters before which a pattern may end at a position that any of `characters`
    has led to.
    """
    accepted = 0
    for before, behind in automaton.accepts.get(position, ()):
        if not characters & automaton.alphabet.any & ~before:
            accepted |= behind
    return accepted


def _ends(automaton: Automaton, position: int, characters: int) -> bool:
    return not characters & ~_accepted(automaton, position, automaton.sets[position])


def _target_set(automaton: Automaton, step: Step) -> int:
    characters = automaton.sets[step.target] & step.behind
    for _, taken in step.taken:
        characters &= ~taken
    return characters


def _is_short(step: Step) -> bool:
    return step.repeat is not None and step.repeat[1] is not None and step.repeat[1] <= MAX_TURNS


def _by_source(steps: Iterable[Step]) -> _Steps:
    found: _Steps = defaultdict(list)
    for step in steps:
        found[step.source].append(step)
    return found


def _reached(steps: _Steps, begun: set[int]) -> set[int]:
    seen = set(begun)
    todo = list(begun)
    while todo:
        for step in steps.get(todo.pop(), ()):
            if step.target not in seen:
                seen.add(step.target)
                todo.append(step.target)

    return seen


def _turned(steps: _Steps) -> _Steps:
    """Return the steps backwards, without what they demand."""
    turned: _Steps = defaultdict(list)
    for found in steps.values():
        for step in found:
            turned[step.target].append(Step(step.target, step.source, 0, 0))
    return turned


def _components(steps: _Steps) -> list[set[int]]:
    """Return the sets of positions that lead to each other, and to themselves (Tarjan)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    found: list[set[int]] = []

    for root in list(steps):
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)

        todo = [(root, iter(steps.get(root, ())))]
        while todo:
            position, left = todo[-1]
            step = next(left, None)
            if step is None:
                todo.pop()
                if todo:
                    low[todo[-1][0]] = min(low[todo[-1][0]], low[position])
                if low[position] == index[position]:
                    at = stack.index(position)
                    loop = set(stack[at:])
                    del stack[at:]

                    if len(loop) > 1 or any(
                        step.target == position for step in steps.get(position, ())
                    ):
                        found.append(loop)
            elif step.target not in index:
                index[step.target] = low[step.target] = len(index)
                stack.append(step.target)
                todo.append((step.target, iter(steps.get(step.target, ()))))
            elif step.target in stack:
                low[position] = min(low[position], index[step.target])

    return found


def _show(automaton: Automaton, position: int) -> str:
    if position == START:
        return "the beginning"
    return automaton.alphabet.show(automaton.sets[position])


def _check(seen: set[tuple[int, int, int]] | set[tuple[int, int, int, int]]) -> None:
    if len(seen) > _MAX_STATES:
        raise TooLarge
