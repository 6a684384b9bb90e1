"""Convert an expression to a filter: kind and time become its fields, the rest stays an expression.

Invariant: the filter matches the records that fulfil the expression and are of the wanted kind.
"""

from collections.abc import Callable
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
    conjuncts,
    joined,
    leaf_field,
    leaves,
)

_KIND_FIELDS: Final = ("kind", "conversation")
_MESSAGE_FIELDS: Final = frozenset(
    (
        "cost_usd",
        "tokens",
        "input_tokens",
        "output_tokens",
        "finish_reason",
        "called_tool",
        "resolved_model",
        "redacted",
        "tool_error",
    )
)
"""Fields of WebSocket messages, which are events: of those that end a model's response, and of
redacted ones.
"""


def lifted(asked: Expression | None, kind: Kind = "exchange") -> Filter:
    """Return the filter of an expression. `kind` is the default if the expression does not name
    one.

    Words, conversations and fields of messages find all kinds of records, because WebSocket
    messages are events.
    """
    names_kind = any(leaf_field(leaf) in _KIND_FIELDS for leaf in leaves(asked))
    if names_kind or _needs(_is_of_words, asked) or _needs(_is_of_message, asked):
        kind = "all"

    left: list[Expression] = []
    since: list[int] = []
    until: list[int] = []
    for part in conjuncts(asked):
        match part:
            case Is("kind", (chosen,)) if kind == "all":
                kind = cast(Kind, chosen)
            case Has("kind"):
                continue  # every record has a kind
            case Between("started_at_us", least, most):
                since.extend(int(each) for each in (least,) if each is not None)
                until.extend(int(each) + 1 for each in (most,) if each is not None)
            case _:
                left.append(part)

    return Filter(
        kind=kind,
        since_us=max(since, default=None),
        until_us=min(until, default=None),
        where=joined(tuple(left)),
    )


def _needs(has: Callable[[Expression | None], bool], search: Expression | None) -> bool:
    """Return True if only records that fulfil such a condition can fulfil a search."""
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
