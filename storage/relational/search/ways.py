"""Ways to the rows of a filter: searches that together find what it asks, each as well as it can be looked up. Pure.

Strategy: a search is written with its negations at its leaves, once, so that each part tells by itself what must hold.
Where the index knows only some alternatives, as of `reset or status:500`, there are two ways: what the index knows
nothing of, whose rows a condition tells, and what has a word it knows, whose rows are in few cells.

Invariant: a record fulfils the search of a filter when it fulfils that of one of the ways.
"""

from dataclasses import dataclass

from storage.query import Filter
from storage.relational.search.condition import can_be_said, widened
from storage.search.expression import And, Expression, Or, joined, negated_at_leaves
from storage.search.index.needs import NOTHING, All, expression_need


@dataclass(frozen=True, slots=True)
class Way:
    search: Expression | None
    """None: all rows of the filter."""
    need: All
    """What the index tells of the rows; nothing, where all of them are looked at."""


def ways_of(filter: Filter) -> tuple[Way, ...]:
    """List the ways to the rows of a filter: one, or one that needs nothing and one that needs words."""
    if filter.where is None:
        return (Way(None, NOTHING),)
    return tuple(Way(part, expression_need(part)) for part in _taken_apart(negated_at_leaves(filter.where)))


def _taken_apart(search: Expression) -> tuple[Expression, ...]:
    left, known = (None, ()) if expression_need(search) != NOTHING else _without_known(search)
    if left is None or not known or widened(left) == widened(search):
        return (search,)
    with_known = joined((_one_of(known), search))
    assert with_known is not None, "bug: a search is a part of it"
    return left, with_known


def _without_known(search: Expression) -> tuple[Expression | None, tuple[Expression, ...]]:
    """Leave alternatives out that only the index tells: returns what is left, if anything, and what was left out.

    What fulfils a search, but not what is left of it, fulfils one of those that were left out.
    """
    if can_be_said(search):
        return search, ()
    if expression_need(search) != NOTHING:
        return None, (search,)
    if not isinstance(search, And | Or):
        return search, ()
    each = [_without_known(part) for part in search.parts]
    left = tuple(part for part, _ in each if part is not None)
    known = tuple(part for _, parts in each for part in parts)
    return (joined(left) if isinstance(search, And) else _one_of(left)), known


def _one_of(parts: tuple[Expression, ...]) -> Expression:
    return parts[0] if len(parts) == 1 else Or(parts)
