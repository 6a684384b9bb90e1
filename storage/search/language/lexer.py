"""Split a search into brackets, operators and terms. Pure.

A term is `name:value,value` or a value alone. A value ends at white space, a bracket or a comma.
Within quotes only a quote ends it. A backslash escapes the next character, within quotes and
outside.

Invariant: a value knows which of its `*` are wildcards: those neither quoted nor escaped.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from storage.search.language.errors import SearchError

_OPERATORS: Final = {"and", "or", "not"}
_PLACE: Final = re.compile(
    r"(?:request_|response_)?(?:header|body)\."
    r'(?:[^\s:"()*,\\\ud800-\udfff]++|"(?:[^"\\\ud800-\udfff]++|\\.)*+")++(?=:)',
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
"""Names of header and body fields. They may have further characters: `body.@type`, `body.größe`,
`body."a.b"`.
"""
_BEGINNINGS: Final = frozenset('"(/')
"""Characters other than letters and digits that may begin a negated term."""
_SPECIAL: Final = re.compile(r'[\s"\\()*,]')
_NAME: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


@dataclass(frozen=True, slots=True)
class Value:
    parts: tuple[str, ...]
    """Texts between the wildcards; one part if there are none."""
    position: int
    length: int
    is_quoted: bool
    is_literal: bool
    """Whether its first character is quoted or escaped."""

    @property
    def text(self) -> str:
        return "*".join(self.parts)

    @property
    def is_pattern(self) -> bool:
        return len(self.parts) > 1


@dataclass(frozen=True, slots=True)
class Term:
    name: str | None
    """Text before the colon; None for a value alone."""
    values: tuple[Value, ...]
    """At least one."""
    position: int
    length: int


@dataclass(frozen=True, slots=True)
class Sign:
    """A bracket, an operator, or `-` before a negated term."""

    text: str
    """`(`, `)`, `and`, `or`, `not`."""
    position: int
    length: int


def tokens(text: str) -> Iterator[Term | Sign]:
    """Yield the tokens of a search.

    Raises:
        SearchError: an unclosed quote, a name without a value, or a `!` used as negation.
    """
    at = 0
    while at < len(text):
        character = text[at]
        if character.isspace():
            at += 1
        elif character in "()":
            yield Sign(character, at, 1)
            at += 1
        elif character == "-" and at + 1 < len(text) and not text[at + 1].isspace():
            yield Sign("not", at, 1)
            at += 1
        elif character == "!" and (
            text[at + 1 : at + 2].isalnum() or text[at + 1 : at + 2] in _BEGINNINGS
        ):
            raise SearchError(
                "to negate, write - or not; to find a ! as text, put it in quotes",
                at,
                expected=("-", "not"),
            )
        else:
            token, at = _term(text, at)
            yield token


def escaped(text: str) -> str:
    """Return a text as a literal value, quoted if need be."""
    if _SPECIAL.search(text):
        return quoted(text)
    return text


def quoted(text: str) -> str:
    """Return a text in quotes, so that nothing in it is special."""
    return '"' + re.sub(r'["\\]', r"\\\g<0>", text) + '"'


def _term(text: str, start: int) -> tuple[Term | Sign, int]:
    name, at = _name(text, start)
    if name is None:
        value, at = _value(text, start, ends="()")
        if not (value.is_quoted or value.is_literal) and value.text.lower() in _OPERATORS:
            return Sign(value.text.lower(), start, at - start), at
        return Term(None, (value,), start, at - start), at

    values = []
    while True:
        value, at = _value(text, at, ends="(),")
        if not value.length:
            reason = (
                f"{name}: has no value; it follows the colon without a blank, alternatives with "
                "commas"
            )
            raise SearchError(reason, start, at - start)

        values.append(value)
        if at >= len(text) or text[at] != ",":
            return Term(name, tuple(values), start, at - start), at

        at += 1


def _name(text: str, start: int) -> tuple[str | None, int]:
    """Parse the name before a colon; None if it is missing or invalid."""
    if (place := _PLACE.match(text, start)) is not None:
        return place[0], place.end() + 1
    at = start
    while at < len(text) and text[at] in _NAME:
        at += 1
    is_name = at < len(text) and text[at] == ":" and at > start and text[start].isalpha()
    if is_name:
        return (text[start:at], at + 1)

    return (None, start)


def _value(text: str, start: int, ends: str) -> tuple[Value, int]:
    parts: list[str] = []
    part = ""
    at = start
    is_quoted = False

    while at < len(text) and not (text[at].isspace() or text[at] in ends):
        character = text[at]
        if character == '"':
            quoted, at = _quoted(text, at)
            part = part + quoted
            is_quoted = True
            continue

        if character == "*":
            # Several in a row mean the same as one, and thousands would cost 0.5 ms a row.
            if part or not parts:
                parts.append(part)
            part = ""
        elif character == "\\" and at + 1 < len(text):
            at += 1
            part += text[at]
        else:
            part += character

        at += 1

    return Value(
        (*parts, part), start, at - start, is_quoted, text[start : start + 1] in ('"', "\\")
    ), at


def _quoted(text: str, start: int) -> tuple[str, int]:
    part = ""
    at = start + 1
    while at < len(text):
        if text[at] == '"':
            return part, at + 1
        if text[at] == "\\" and at + 1 < len(text):
            at += 1
        part += text[at]
        at += 1

    raise SearchError("this quote is not closed", start, len(text) - start)
