"""What of a field stands in a text as it is written, so that words tell where it can be. Pure.

Strategy: values of headers and strings in JSON are the text, or a reading of it
(`storage.search.words`), and so are the names of headers and of members. A number in JSON is not:
what is asked for as 100.0 may be written `1e2`.

Invariant: a text that has a value of a field has the words said here; a value that is not sure to
be there is no word.
"""

import re
from typing import Final

from storage.search.expression import BODY_FIELDS, HEAD_FIELDS
from storage.search.subject import steps_of
from storage.search.words import words

TEXTS: Final = ("path", "query", "error_type")
_NUMERIC: Final = re.compile(r"[-+.0-9eE]*")
_WHOLE_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
"""Written in one way (RFC 8259 §6) but for `-0`, which has the same word."""


def is_spelled(field: str, value: str) -> bool:
    """Whether a text with this value of a field has it as it is written; the value is of ASCII."""
    if not value.isascii():
        return False
    return _has_text(field) or (_kind(field) in BODY_FIELDS and _is_spelled_in_json(value))


def are_spelled(field: str, parts: tuple[str, ...]) -> bool:
    """Whether a text with a value of a field that consists of these parts, and of others, has the
    parts.
    """
    return _has_text(field) or (
        _kind(field) in BODY_FIELDS and _NUMERIC.fullmatch("".join(parts)) is None
    )


def name_words(field: str) -> list[str]:
    """List the words that a text with a field has by its name: that of a header, or those of
    members on the way.
    """
    kind, _, key = field.partition(".")
    if kind in HEAD_FIELDS:
        return words(key) if key.isascii() else []
    if kind in BODY_FIELDS:
        return [
            word
            for name in steps_of(key)
            if name.isascii() and name.isprintable() and not name.isdecimal()
            for word in words(name)
        ]

    return []


def _has_text(field: str) -> bool:
    return field in TEXTS or _kind(field) in HEAD_FIELDS


def _kind(field: str) -> str:
    return field.partition(".")[0]


def _is_spelled_in_json(value: str) -> bool:
    return _WHOLE_NUMBER.fullmatch(value) is not None or _NUMERIC.fullmatch(value) is None
