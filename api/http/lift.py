"""Adds a search to a filter: kind and time become fields of the filter, the rest stays an expression. Pure.

Invariant: of the records that matched the filter before, those match now that fulfil the search. Only conditions that
must hold as a whole are moved, so a search never loosens what a parameter or a scope demands.
"""

from dataclasses import replace
from typing import Final, cast

from storage.query import Filter, Kind
from storage.search.expression import (
    And,
    Between,
    Expression,
    Is,
    Or,
    Substring,
    Text,
    both,
    conjuncts,
    field_of,
    joined,
    leaves,
)

_KIND_FIELDS: Final = ("kind", "conversation")


def lifted(filter: Filter, search: Expression | None, *, has_kind: bool) -> Filter:
    """Add a search to a filter.

    With `has_kind` a parameter chose the kind of records. Otherwise the search may choose it; a search for words or for
    a conversation finds all kinds, because messages of a WebSocket are events.
    """
    left: list[Expression] = []
    names_kind = any(field_of(leaf) in _KIND_FIELDS for part in (search, filter.where) for leaf in leaves(part))
    if (names_kind or _needs_words(search)) and not has_kind:
        filter = replace(filter, kind="all")
    for part in conjuncts(search):
        match part:
            case Is("kind", (kind,)) if filter.kind == "all":
                filter = replace(filter, kind=cast(Kind, kind))
            case Between("started_at_us", least, most):
                filter = _during(filter, least, most)
            case _:
                left.append(part)
    return replace(filter, where=both(filter.where, joined(tuple(left))))


def _needs_words(search: Expression | None) -> bool:
    """Whether only a record with some words can fulfil a search."""
    match search:
        case And(parts):
            return any(map(_needs_words, parts))
        case Or(parts):
            return all(map(_needs_words, parts))
        case _:
            return isinstance(search, Text | Substring)


def _during(filter: Filter, least: float | None, most: float | None) -> Filter:
    """Bound a filter's time, both inclusive."""
    since = [int(each) for each in (filter.since_us, least) if each is not None]
    until = [int(each) for each in (filter.until_us, None if most is None else most + 1) if each is not None]
    return replace(filter, since_us=max(since, default=None), until_us=min(until, default=None))
