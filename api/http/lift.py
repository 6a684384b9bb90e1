"""Adds a search to a filter: kind and time become fields of the filter, the rest stays an
expression. Pure.

Invariant: of the records that matched the filter before, those match now that fulfil the search.
Only conditions that must hold as a whole are moved, so a search never loosens what a parameter or a
scope demands.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final, cast

from storage.query import Filter, Kind
from storage.search.expression import (
    And,
    Between,
    Expression,
    Has,
    Is,
    Like,
    Or,
    Substring,
    Text,
    both,
    conjuncts,
    joined,
    leaf_field,
    leaves,
)

_KIND_FIELDS: Final = ("kind", "conversation")
_MESSAGE_FIELDS: Final = frozenset(
    (
        *(
            "cost_usd",
            "tokens",
            "input_tokens",
            "output_tokens",
            "finish_reason",
            "called_tool",
            "resolved_model",
        ),
        *("redacted", "tool_error"),
    )
)
"""What a message of a WebSocket may have, which is an event: one that ends a model's response, or
that is redacted.
"""


def lifted(filter: Filter, search: Expression | None, *, has_kind: bool) -> Filter:
    """Add a search to a filter.

    With `has_kind` a parameter chose the kind of records. Otherwise the search may choose it; a
    search for words, for a conversation or for what messages may have finds all kinds, because
    messages of a WebSocket are events.
    """
    left: list[Expression] = []
    names_kind = any(
        leaf_field(leaf) in _KIND_FIELDS for part in (search, filter.where) for leaf in leaves(part)
    )
    if (
        names_kind
        or _needs(_is_of_words, search)
        or _needs(_is_of_message, both(search, filter.where))
    ) and not has_kind:
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


def _needs(has: Callable[[Expression | None], bool], search: Expression | None) -> bool:
    """Whether only a record that fulfils such a condition can fulfil a search."""
    match search:
        case And(parts):
            return any(_needs(has, part) for part in parts)
        case Or(parts):
            return all(_needs(has, part) for part in parts)
        case _:
            return has(search)


def _is_of_words(part: Expression | None) -> bool:
    return isinstance(part, Text | Substring)


def _is_of_message(part: Expression | None) -> bool:
    return isinstance(part, Is | Like | Has | Between) and part.field in _MESSAGE_FIELDS


def _during(filter: Filter, least: float | None, most: float | None) -> Filter:
    """Bound a filter's time, both inclusive."""
    since = [int(each) for each in (filter.since_us, least) if each is not None]
    until = [
        int(each)
        for each in (filter.until_us, None if most is None else most + 1)
        if each is not None
    ]
    return replace(filter, since_us=max(since, default=None), until_us=min(until, default=None))
