"""Path segments: values of a known shape, and literals by class.

A value of a known shape (a number, a UUID, a hash, a date) is never a name chosen for a resource,
so a placeholder replaces it at once. Everything else is judged by traffic (`tree.py`), depending on
its class.
"""

import re
from typing import Final, Literal

Class = Literal["word", "data", "call"]
"""Class of a literal: the name of a resource, of an item in it, or of a remote procedure."""

MAX_SEGMENTS: Final = 10
"""Limit of segments. `PATH` replaces the rest of a deeper path."""
MAX_SEGMENT_CHARACTERS: Final = 64
"""Length of the longest name. Longer segments are values."""
PATH: Final = "{path}"

_SHAPES: Final = re.compile(
    r"""
    (?P<uuid>[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})
    | (?P<id>-?\d+ | [A-Za-z]+[-_]\d+ | [A-Za-z]{1,3}\d{3,}
      | (?=[0-9A-Za-z]*\d)[0-7][0-9A-HJKMNP-TV-Z]{25}
      | [a-z]{1,8}_(?=[A-Za-z]*\d|[a-z]*[A-Z])[A-Za-z0-9]{8,})
    | (?P<hash>[0-9a-fA-F]{16,} | (?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,15})
    | (?P<date>\d{4}-\d\d(?:-\d\d)?(?:T[\d:.%A-Z+-]+)?)
    | (?P<ip>\d{1,3}(?:\.\d{1,3}){3})
    | (?P<version>\d+\.\d+\.\d+[A-Za-z0-9.+-]*)
    | (?P<number>-?\d+\.\d+(?:,-?\d+\.\d+)*)
    | (?P<email>[^@]+(?:@|%40)[^@]+\.[A-Za-z]{2,})
    | (?P<redacted>.*\[REDACTED\].*)
    | (?P<token>(?=[A-Za-z_=.-]*\d)(?=[a-z0-9_=.-]*[A-Z])(?=[A-Z0-9_=.-]*[a-z])[A-Za-z0-9_=.-]{20,}
      | (?=[a-z]*\d)[a-z0-9]{24,})
    """,
    re.VERBOSE,
)
_ASSETS: Final = frozenset(
    (
        "js",
        "mjs",
        "css",
        "map",
        "wasm",
        "woff",
        "woff2",
        "ttf",
        "otf",
        "eot",
        "png",
        "jpg",
        "jpeg",
        "gif",
        "svg",
        "ico",
        "webp",
        "avif",
        "bmp",
        "mp3",
        "mp4",
        "webm",
        "ogg",
        "wav",
    )
)
_DOCUMENT: Final = re.compile(
    r"(.+)(\.(?:json|xml|csv|pdf|txt|html?|zip|gz|tar|xlsx?|docx?|md|ics|parquet|log))", re.I
)
_CALL: Final = re.compile(r"(?=.*(?:[._]|[a-z][A-Z]))[A-Za-z]+(?:[._][A-Za-z]+)*")
_NUMBERED: Final = re.compile(r"([A-Za-z]+)\d+")
_VERSION: Final = "v"
"""Letter before a version number: `/v2` is a name."""
_WORD: Final = re.compile(r"\.?[A-Za-z]+(?:-[A-Za-z]+)?\d?")


def split(path: str) -> list[str]:
    """Split a path into its segments, without empty ones and without parameters after a semicolon."""
    if ";" in path:
        path = "/".join([segment.partition(";")[0] for segment in path.split("/")])
    segments = [segment for segment in path.split("/") if segment]
    if "/{" in path or "/*" in path:  # a segment that looks like a placeholder is a value
        segments = [
            placeholder(segment) or segment if segment[0] in "{*" else segment
            for segment in segments
        ]

    if len(segments) <= MAX_SEGMENTS:
        return segments

    return [*segments[: MAX_SEGMENTS - 1], PATH]


def placeholder(segment: str) -> str | None:
    """Return the placeholder of a segment with the shape of a value; None if it may be a name."""
    if segment.isalpha() and segment.isascii() and len(segment) <= 16:
        return None  # The most frequent case, in a hundredth of the pattern's time.
    if segment.isdigit():
        return "{id}"
    if (
        len(segment) > MAX_SEGMENT_CHARACTERS
        or "{" in segment
        or "}" in segment
        or "*" in segment
        or "#" in segment
    ):
        if segment == PATH:
            return PATH
        return "{value}"
    if (found := _SHAPES.fullmatch(segment)) is not None:
        return f"{{{found.lastgroup}}}"
    if (found := _DOCUMENT.fullmatch(segment)) is not None and (
        shown := placeholder(found[1])
    ) is not None:
        return shown + found[2].lower()

    return None


def asset(segment: str) -> str | None:
    """Return the shared name of static files of a kind, `*.js`; None if it is not a static file."""
    stem, _, kind = segment.rpartition(".")
    if stem and kind.lower() in _ASSETS and segment != "favicon.ico":
        return f"*.{kind.lower()}"
    return None


def class_of(literal: str) -> Class:
    if (document := _DOCUMENT.fullmatch(literal)) is not None:
        literal = document[1]
    if _WORD.fullmatch(literal) and (literal.islower() or literal.isupper() or literal.istitle()):
        return "word"
    if _CALL.fullmatch(literal):
        return "call"
    return "data"


def stem_of(literal: str) -> str | None:
    """Return the word before the number of a name such as `u12`; None for other names and versions."""
    found = _NUMBERED.fullmatch(literal)
    if found is None or found[1].lower() == _VERSION:
        return None
    return found[1]
