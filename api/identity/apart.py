"""Which values of a request are set apart, because a client makes them anew for each. Pure.

Two steps: `drawn` takes out moments, and ids of requests by their names, so that the same call at
another time is the same. `loose` also takes out ids by their looks, which name what was made in
that run. Dates without a time of day, and ids that are numbers, say what is asked for: they count.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

_DRAWN_NAMES: Final = re.compile(
    r".*(?:request|trace|span|correlation|invocation|message|clientmutation)id|.*idempotency(?:key|id)|.*nonce"
    r"|.*timestamp|ts|cachebuster"
)
"""Of values, in small letters and digits alone."""
_CACHE_BUSTER: Final = "_"
"""The name that jQuery gives to a moment in a query."""
_MOMENT_NAMES: Final = re.compile(r".*(?:at|time|date|now)")
_MOMENT: Final = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d[\d:.,]*\s?(?:Z|[+-]\d\d:?\d\d)?|[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} [\d:]+ GMT"
)
_MIN_MOMENT: Final = len("2026-01-01T00:00")
_EPOCH: Final = re.compile(r"1\d{9}(?:\.\d+|\d{3}|\d{6})?")
"""Seconds, milliseconds or microseconds since 1970, from 2001 to 2033."""
_ID: Final = re.compile(
    r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-7][0-9A-HJKMNP-TV-Z]{25}|(?=[a-f]*\d)[0-9a-f]{16,}"
)
"""UUIDs, ULIDs, hexadecimal digits."""
_MIN_ID: Final = 16
_APART: Final = "set apart"

Judge = Callable[[str, Any], bool]


def is_drawn(name: str, value: Any) -> bool:
    """Whether a value under this name is made anew for each request."""
    if isinstance(value, dict | list | bool) or value is None:
        return False
    is_named, is_moment = _meant(name)
    text = str(value)
    if is_named or (len(text) >= _MIN_MOMENT and _MOMENT.fullmatch(text) is not None):
        return True

    return is_moment and _EPOCH.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _meant(name: str) -> tuple[bool, bool]:
    """Say of a name whether its values are made anew, and whether they may be moments."""
    plain = "".join(filter(str.isalnum, name.lower()))
    is_named = _DRAWN_NAMES.fullmatch(plain) is not None or name == _CACHE_BUSTER
    return is_named, _MOMENT_NAMES.fullmatch(plain) is not None


def is_id(_: str, value: Any) -> bool:
    """Whether a value is an id that was drawn once."""
    return isinstance(value, str) and len(value) >= _MIN_ID and _ID.fullmatch(value) is not None


def is_loose(name: str, value: Any) -> bool:
    """Whether a value is made anew, or is an id that was drawn once."""
    return is_drawn(name, value) or is_id(name, value)


def without(value: Any, judge: Judge, name: str = "") -> Any:
    """Return a value with marks for what is set apart; elements have the name of their array."""
    if isinstance(value, dict):
        return {key: without(each, judge, key) for key, each in value.items()}
    if isinstance(value, list):
        return [without(each, judge, name) for each in value]
    return _APART if judge(name, value) else value
