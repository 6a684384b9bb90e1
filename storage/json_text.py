"""JSON as programs write it, which is not always JSON. Pure.

Two forms are common that parsers refuse: half of a surrogate pair alone, as JavaScript cuts emoji
in two, is read as U+FFFD; `NaN`, `Infinity` and `-Infinity`, as Python and NumPy write them, are
read as their names. Integers of any length stay exact. Standard: RFC 8259 §6 (numbers), §8.2
(surrogates).
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
import orjson

FAILURES: Final = (msgspec.MsgspecError, RecursionError, ValueError)
"""Of a decoder that reads what is no JSON, or is nested too deeply."""
_STRANGE: Final = re.compile(rb"\\u[dD][89a-fA-F]|NaN|Infinity")
_LONE_SURROGATE: Final = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+"
    rb"(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
"""The first escape of one, and all that is before it; to be matched from there on again, never
searched for; the same below.
"""
_NAME: Final = re.compile(rb"-?(?:NaN|Infinity)")
_NOT_FINITE: Final = re.compile(
    rb'(?:[^"NI-]++|"[^"\\]*+(?:\\.[^"\\]*+)*+"|-(?![NI]))*+(%b(?:[\s,]++%b)*+)'
    % (_NAME.pattern, _NAME.pattern),
    re.DOTALL,
)
"""The first of them outside of texts, with those that follow in a list."""
Match = Callable[[bytes, int], re.Match[bytes] | None]


def read_json(data: bytes) -> Any:
    """Read a document.

    Raises:
        ValueError: it is no JSON, nor nearly so, or is nested too deeply.
    """
    try:
        return msgspec.json.decode(data)
    except RecursionError:
        return orjson.loads(data)  # reads deeper, and rounds long integers
    except FAILURES as error:
        mended = mend(data, rb'"\g<0>"')
        if mended is None:
            raise ValueError("no JSON") from error

    try:
        return msgspec.json.decode(mended)
    except FAILURES as error:
        raise ValueError("no JSON") from error


def mend(data: bytes, not_finite: bytes = b"null") -> bytes | None:
    """Write what parsers refuse as they read it, numbers that are not finite by a template; None
    where there is nothing of the kind.
    """
    if _STRANGE.search(data) is None:
        return None
    whole = _replaced(_LONE_SURROGATE.match, data, lambda _: rb"\ufffd")
    return _replaced(_NOT_FINITE.match, whole, partial(_NAME.sub, not_finite))


def write_scalar(value: str | float | None) -> str:
    """Write a value that is no object and no list: integers exactly."""
    if type(value) is int:
        return str(value)
    return orjson.dumps(value).decode()


def _replaced(match: Match, data: bytes, written: Callable[[bytes], bytes]) -> bytes:
    pieces: list[bytes] = []
    at = 0
    while (found := match(data, at)) is not None:
        pieces += data[at : found.start(1)], written(found[1])
        at = found.end()
    return b"".join((*pieces, data[at:]))
