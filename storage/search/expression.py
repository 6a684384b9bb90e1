"""A search as a tree of values: leaves that ask one thing of a record, joined by and, or and not.
No I/O.

A leaf names a field by its place in a record (`status`, `duration_us`), or by what
`storage.search.subject` makes of it (`header.x-tenant`, `body.user.id`). What a leaf means is said
once, in `storage.search.meaning`; a leaf never fulfils itself by a value that is not there.
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
    """A text of the field is one of some, exactly."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """A text of the field consists of these parts, in order, with anything between them; ASCII case
    does not matter.

    `("a",)` is the text `a`, `("a", "")` what begins with it, `("", "a", "")` what contains it.
    """

    field: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Has:
    """The field has a value."""

    field: str


@dataclass(frozen=True, slots=True)
class Between:
    """A number of the field lies between two, both inclusive; None is no bound."""

    field: str
    least: float | None
    most: float | None


@dataclass(frozen=True, slots=True)
class InNetwork:
    """The client's address lies between two of the same family, both inclusive, as packed bytes."""

    first: bytes
    last: bytes


@dataclass(frozen=True, slots=True)
class Text:
    """Some text of the record has a word or a phrase."""

    phrase: Phrase


@dataclass(frozen=True, slots=True)
class Substring:
    """Some text of the record contains this, wherever words begin and end; case does not matter."""

    text: str


Leaf = Is | Like | Has | Between | InNetwork | Text | Substring
Expression = Union[And, Or, Not, Leaf]  # noqa: UP007 -- it is recursive, and classes above name it before it is made

HEAD_FIELDS: Final = ("header", "request_header", "response_header")
"""Fields that go on with a dot and the name of a header."""
BODY_FIELDS: Final = ("body", "request_body", "response_body")
"""Fields that go on with a dot and a path in JSON, case included."""


def conjuncts(expression: Expression | None) -> tuple[Expression, ...]:
    """Return what must hold, each by itself."""
    if expression is None:
        return ()
    if isinstance(expression, And):
        return expression.parts
    return (expression,)


def fields(**values: Sequence[str]) -> Expression | None:
    """Ask that each of some fields has one of some values; a field without values is not asked."""
    return joined(tuple(Is(name, tuple(some)) for name, some in values.items() if some))


def either(parts: Sequence[Expression]) -> Expression:
    """Return what holds when one of some does, of one at least."""
    return parts[0] if len(parts) == 1 else Or(tuple(parts))


def one_of(parts: Sequence[Expression]) -> Expression | None:
    """Return what holds when one of some does; None of none, which asks nothing."""
    return either(parts) if parts else None


def status_among(statuses: Sequence[int], classes: Sequence[int] = ()) -> Expression | None:
    """Ask for one of some statuses, or one of some classes of them, from 1 to 9."""
    exact = [Between("status", status, status) for status in statuses]
    return one_of(
        (*exact, *(Between("status", first * 100, first * 100 + 99) for first in classes))
    )


def both(*parts: Expression | None) -> Expression | None:
    """Return what holds when each of some does that asks something."""
    return joined(tuple(part for part in parts if part is not None))


def asked_values(expression: Expression | None, field: str) -> tuple[str, ...]:
    """Return the values of which a record must have one in a field; none where that is not asked."""
    found = [
        part.values
        for part in conjuncts(expression)
        if isinstance(part, Is) and part.field == field
    ]
    return found[0] if found else ()


def joined(parts: tuple[Expression, ...]) -> Expression | None:
    """Return what holds when all of some do; None, which always holds, of none."""
    flat = tuple(each for part in parts for each in conjuncts(part))
    if len(flat) <= 1:
        return flat[0] if flat else None
    return And(flat)


def negated_at_leaves(expression: Expression, *, is_negated: bool = False) -> Expression:
    """Say the same, or its negation, with `not` before leaves only: so each part tells by itself
    what must hold.
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
            return Not(expression) if is_negated else expression


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
    """Name the field that a leaf asks, `text` where it asks all texts of a record."""
    match leaf:
        case InNetwork():
            return "client_ip"
        case Text() | Substring():
            return "text"
        case _:
            return leaf.field


def needs_payload(expression: Expression | None) -> bool:
    """Whether heads or bodies are needed to tell."""
    names = {leaf_field(leaf).partition(".")[0] for leaf in leaves(expression)}
    return not names.isdisjoint({*HEAD_FIELDS, *BODY_FIELDS, "text"})


def needs_tools(expression: Expression | None) -> bool:
    """Whether the record's MCP calls are needed to tell."""
    return any(leaf_field(leaf) == "tool" for leaf in leaves(expression))
