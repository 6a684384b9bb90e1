"""A search as a tree of values: leaves are conditions on a record, joined by and, or and not. No
I/O.

A leaf names a field of the record (`status`, `duration_us`), or one that `storage.search.subject`
derives (`header.x-tenant`, `body.user.id`). `storage.search.meaning` defines when a leaf holds; a
missing value never fulfils a leaf.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Union

from storage.search.phrase import Phrase


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: "Expression"


@dataclass(frozen=True, slots=True)
class Is:
    """A text of the field equals one of the values."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """A text of the field consists of the parts, in order, with anything between them, ignoring
    ASCII case.

    `("a",)` is exactly `a`, `("a", "")` a text that begins with it, `("", "a", "")` one that
    contains it.
    """

    field: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Has:
    """The field has a value."""

    field: str


@dataclass(frozen=True, slots=True)
class Between:
    """A number of the field is between two, both inclusive; None is unbounded."""

    field: str
    least: float | None
    most: float | None


@dataclass(frozen=True, slots=True)
class InNetwork:
    """The client's address is between two of the same family, both inclusive, as packed bytes."""

    first: bytes
    last: bytes


@dataclass(frozen=True, slots=True)
class Text:
    """Some text of the record contains a word or a phrase."""

    phrase: Phrase


@dataclass(frozen=True, slots=True)
class Substring:
    """Some text of the record contains this substring, regardless of word boundaries and case."""

    text: str


Leaf = Is | Like | Has | Between | InNetwork | Text | Substring
Expression = Union[And, Or, Not, Leaf]  # noqa: UP007 -- it is recursive, and classes above name it before it is made

HEAD_FIELDS: Final = ("header", "request_header", "response_header")
"""Fields that are followed by a dot and the name of a header."""
BODY_FIELDS: Final = ("body", "request_body", "response_body")
"""Fields that are followed by a dot and a case-sensitive JSON path."""


def conjuncts(expression: Expression | None) -> tuple[Expression, ...]:
    """Return the conditions that must all hold."""
    if expression is None:
        return ()
    if isinstance(expression, And):
        return expression.parts
    return (expression,)


def fields(**values: Sequence[str]) -> Expression | None:
    """Require that each field has one of its values; a field without values is not restricted."""
    return joined(tuple(Is(name, tuple(some)) for name, some in values.items() if some))


def either(parts: Sequence[Expression]) -> Expression:
    """Return a condition that holds if at least one of the parts does; `parts` is not empty."""
    if len(parts) == 1:
        return parts[0]
    return Or(tuple(parts))


def one_of(parts: Sequence[Expression]) -> Expression | None:
    """Return a condition that holds if at least one of the parts does; None, which always holds,
    for no parts.
    """
    if parts:
        return either(parts)
    return None


def status_among(statuses: Sequence[int], classes: Sequence[int] = ()) -> Expression | None:
    """Require one of some statuses, or of some status classes from 1 to 9."""
    exact = [Between("status", status, status) for status in statuses]
    return one_of(
        (*exact, *(Between("status", first * 100, first * 100 + 99) for first in classes))
    )


def both(*parts: Expression | None) -> Expression | None:
    """Return a condition that holds if all parts do; parts that are None always hold."""
    return joined(tuple(part for part in parts if part is not None))


def asked_values(expression: Expression | None, field: str) -> tuple[str, ...]:
    """Return the values that a record may have in a field, if the expression requires one of them;
    else empty.
    """
    found = [
        part.values
        for part in conjuncts(expression)
        if isinstance(part, Is) and part.field == field
    ]
    if found:
        return found[0]
    return ()


def joined(parts: tuple[Expression, ...]) -> Expression | None:
    """Return a condition that holds if all parts do; None, which always holds, for no parts."""
    flat = tuple(each for part in parts for each in conjuncts(part))
    if len(flat) <= 1:
        if flat:
            return flat[0]
        return None
    return And(flat)


def negated_at_leaves(expression: Expression, *, is_negated: bool = False) -> Expression:
    """Return an equivalent expression, or its negation, with `not` only before leaves. Each part is
    then a condition that must hold by itself.
    """
    match expression:
        case And(parts) | Or(parts):
            some = tuple(negated_at_leaves(part, is_negated=is_negated) for part in parts)
            if isinstance(expression, Or) != is_negated:
                return Or(some)
            return And(tuple(each for part in some for each in conjuncts(part)))
        case Not(part):
            return negated_at_leaves(part, is_negated=not is_negated)
        case _:
            if is_negated:
                return Not(expression)
            return expression


def leaves(expression: Expression | None) -> Iterator[Leaf]:
    match expression:
        case None:
            return
        case And(parts) | Or(parts):
            for part in parts:
                yield from leaves(part)
        case Not(part):
            yield from leaves(part)
        case _:
            yield expression


def leaf_field(leaf: Leaf) -> str:
    """Return the field of a leaf, `text` for a leaf about all texts of a record."""
    match leaf:
        case InNetwork():
            return "client_ip"
        case Text() | Substring():
            return "text"
        case _:
            return leaf.field


def needs_payload(expression: Expression | None) -> bool:
    """Whether evaluating it needs heads or bodies."""
    names = {leaf_field(leaf).partition(".")[0] for leaf in leaves(expression)}
    return not names.isdisjoint({*HEAD_FIELDS, *BODY_FIELDS, "text"})


def needs_tools(expression: Expression | None) -> bool:
    """Whether evaluating it needs the record's MCP calls."""
    return any(leaf_field(leaf) == "tool" for leaf in leaves(expression))
