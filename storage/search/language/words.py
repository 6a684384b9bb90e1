"""Words of the search language, used before a colon: field, kind of values, help text.

They are data: `words.toml` has one line a word, with its aliases and the words before a dot.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from importlib.resources import files
from typing import Any, Final, Literal

import msgspec

from storage.grpc import STATUSES
from storage.record import DIRECTIONS, LEVELS, OUTCOMES

Kind = Literal[
    "name", "place", "part", "choice", "status", "duration", "bytes", "count", "decimal", "time", "address", "client",
    "trace", "id", "text", "reason", "grpc",
]  # fmt: skip
"""How a value is matched: `name` exactly, `part` as a substring, both as a pattern if it has a `*`.
A `place` is a JSON path: matched like a name, or compared as a number.
"""


class Word(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    kind: Kind
    field: str
    """Field of the record (`storage.search.expression`); in `words.toml` the name unless given."""
    help: str
    example: str
    values: tuple[str, ...] = ()
    """All possible values, or those to suggest."""
    facet: str | None = None
    """Facet of the API that lists its values."""
    is_upper: bool = False
    """Whether values are in upper case."""
    is_lower: bool = False
    """Whether values are in lower case."""


class _WordFile(msgspec.Struct, forbid_unknown_fields=True):
    words: dict[str, dict[str, Any]]
    prefixes: dict[str, dict[str, Any]]
    aliases: dict[str, str]
    synonyms: dict[str, str]


SOURCES: Final = ("backend", "edge")
_VALUES: Final = {
    "level": LEVELS,
    "direction": DIRECTIONS,
    "source": SOURCES,
    "outcome": tuple(outcome.value for outcome in OUTCOMES),
    "grpc_status": (*STATUSES, "!OK"),
}
"""Word → its values, where others define them."""
_FILE: Final = msgspec.toml.decode(
    files("storage").joinpath("search/language/words.toml").read_bytes(), type=_WordFile
)


def _words(entries: Mapping[str, dict[str, Any]]) -> dict[str, Word]:
    found = {}
    for name, entry in entries.items():
        defaults = {"name": name, "field": name, "values": _VALUES.get(name, ())}
        found[name] = msgspec.convert(defaults | entry, Word)
    return found


WORDS: Final[Mapping[str, Word]] = _words(_FILE.words)
PREFIXES: Final[Mapping[str, Word]] = _words(_FILE.prefixes)
"""Words that are followed by a dot and a name."""
ALIASES: Final[Mapping[str, str]] = _FILE.aliases
"""Alternative names, among them those of most parameters."""
SYNONYMS: Final[Mapping[str, str]] = _FILE.synonyms
"""Label in the web UI → the value that it stands for."""
_METHODS: Final = WORDS["method"].values
_SUGGESTED: Final = 3


def find_word(name: str) -> Word | None:
    """Return the word with a name or an alias; None if it is unknown."""
    lowered = name.lower()
    return WORDS.get(ALIASES.get(lowered, lowered))


def word_of(name: str) -> Word | None:
    """Return the word with a name, an alias, or a prefix before a dot; None if it is unknown."""
    prefix, dot, rest = name.partition(".")
    if dot and rest:
        return PREFIXES.get(prefix.lower())
    return find_word(name)


def method_spellings(text: str) -> tuple[str, ...]:
    """Return the spellings of a method to search for: upper case, and of an unusual method also as
    it is written, since methods are recorded as they were sent.
    """
    upper = text.upper()
    if upper in _METHODS or upper == text:
        return (upper,)
    return (upper, text)


def meant_method(text: str) -> str | None:
    """Return the usual method that a misspelt one resembles; None for other texts."""
    if text in _METHODS:
        return None
    usual = [method for method in _METHODS if abs(len(method) - len(text)) <= 1]
    return next(iter(get_close_matches(text, usual, n=1)), None)


def all_names() -> list[str]:
    return [*WORDS, *(f"{prefix}.NAME" for prefix in PREFIXES)]


def closest(name: str) -> list[str]:
    """Return the words that were probably meant, the likeliest first."""
    near = get_close_matches(
        name.lower(), [*WORDS, *ALIASES, *all_names()], n=_SUGGESTED, cutoff=0.6
    )
    return list(dict.fromkeys(ALIASES.get(each, each) for each in near))
