"""From a search to a filter: kind and time, which are fields of a filter, go there; the rest stays an expression. Pure.

Invariant: the filter matches what it matched before, as far as it fulfils the search. Only what must hold as a whole is
moved; so nothing a search says can loosen what a parameter or a scope has said.
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
    """Put a search on a filter.

    With `has_kind` a parameter has said which kinds of records; else a search that says it decides, and who asks for a
    conversation, or for words, asks for all that has them: over a WebSocket those are events.
    """
    left: list[Expression] = []
    says_kind = any(field_of(leaf) in _KIND_FIELDS for part in (search, filter.where) for leaf in leaves(part))
    if (says_kind or _needs_words(search)) and not has_kind:
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
