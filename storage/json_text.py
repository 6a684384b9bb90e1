"""Read JSON as programs write it, which is not always valid JSON. Pure.

Two invalid forms are common. Half of a surrogate pair, as JavaScript leaves when it cuts an emoji,
is read as U+FFFD. `NaN`, `Infinity` and `-Infinity`, as Python and NumPy write them, are read as
their names. Integers of any length stay exact. Standard: RFC 8259 §6 (numbers), §8.2 (surrogates).
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
import orjson

FAILURES: Final = (msgspec.MsgspecError, RecursionError, ValueError)
"""Exceptions of decoders for input that is invalid or nested too deeply."""
_STRANGE: Final = re.compile(rb"\\u[dD][89a-fA-F]|NaN|Infinity")
_LONE_SURROGATE: Final = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+"
    rb"(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
"""Matches up to the first lone surrogate escape. Match it again from the end of each match; a
search would not be linear. The same holds for `_NOT_FINITE`.
"""
_NAME: Final = re.compile(rb"-?(?:NaN|Infinity)")
_NOT_FINITE: Final = re.compile(
    rb'(?:[^"NI-]++|"[^"\\]*+(?:\\.[^"\\]*+)*+"|-(?![NI]))*+(%b(?:[\s,]++%b)*+)'
    % (_NAME.pattern, _NAME.pattern),
    re.DOTALL,
)
"""Matches up to the first of these names outside of strings, with those that follow it in a list.
"""
Match = Callable[[bytes, int], re.Match[bytes] | None]


def read_json(data: bytes) -> Any:
    """Read a document, tolerating the two forms above.

    Raises:
        ValueError: it is invalid in another way, or nested too deeply.
    """
    try:
        return msgspec.json.decode(data)
    except RecursionError:
        return orjson.loads(data)  # accepts deeper nesting, but rounds long integers
    except FAILURES as error:
        mended = mend(data, rb'"\g<0>"')
        if mended is None:
            raise ValueError("no JSON") from error

    try:
        return msgspec.json.decode(mended)
    except FAILURES as error:
        raise ValueError("no JSON") from error


def mend(data: bytes, not_finite: bytes = b"null") -> bytes | None:
    """Return a valid document for one with the two forms above; None if it has neither.

    Non-finite numbers are replaced by the template `not_finite`, in which `\\g<0>` is their name.
    """
    if _STRANGE.search(data) is None:
        return None
    whole = _replaced(_LONE_SURROGATE.match, data, lambda _: rb"\ufffd")
    return _replaced(_NOT_FINITE.match, whole, partial(_NAME.sub, not_finite))


def write_scalar(value: str | float | None) -> str:
    """Write a string, number, boolean or null as JSON, with integers of any size exactly."""
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
