"""Volatile values of a request, generated anew for each request, and generated ids.

Times are volatile by their format, request ids by their names: without them, the same call at
another time is the same. Generated ids are recognised by their format; they name an object of one
run. Dates without a time of day, and numeric ids, are neither: they select the requested data.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

_VOLATILE_NAMES: Final = re.compile(
    r".*(?:request|trace|span|correlation|invocation|message|clientmutation)id"
    r"|.*idempotency(?:key|id)|.*nonce|.*timestamp|ts|cachebuster"
)
"""Names of volatile values, reduced to lower-case letters and digits."""
_CACHE_BUSTER: Final = "_"
"""Name of the timestamp that jQuery adds to a query."""
_TIME_NAMES: Final = re.compile(r".*(?:at|time|date|now)")
"""Reduced names of numbers that may be timestamps."""
_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d[\d:.,]*\s?(?:Z|[+-]\d\d:?\d\d)?"
    r"|[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} [\d:]+ GMT"
)
"""Matches ISO 8601 times and HTTP dates."""
_MIN_TIME: Final = len("2026-01-01T00:00")
_TIMESTAMP: Final = re.compile(r"1\d{9}(?:\.\d+|\d{3}|\d{6})?")
"""Matches seconds, milliseconds or microseconds since 1970, from 2001 to 2033."""
_ID: Final = re.compile(
    r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
    r"|[0-7][0-9A-HJKMNP-TV-Z]{25}"
    r"|(?=[a-f]*\d)[0-9a-f]{16,}"
)
"""Matches UUIDs, ULIDs and hexadecimal digits."""
_MIN_ID: Final = 16
_MASK: Final = "set apart"

Predicate = Callable[[str, Any], bool]
"""Returns True for a value that has a property, given its name."""


def is_volatile(name: str, value: Any) -> bool:
    """Return True if a value under this name is generated anew for each request."""
    if isinstance(value, dict | list | bool) or value is None:
        return False
    text = str(value)
    has_volatile_name, has_time_name = _judge_name(name)
    if has_volatile_name or (has_time_name and _TIMESTAMP.fullmatch(text)):
        return True
    return len(text) >= _MIN_TIME and _TIME.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _judge_name(name: str) -> tuple[bool, bool]:
    """Return two flags for a name: its values are volatile; its numbers may be timestamps."""
    plain = "".join(filter(str.isalnum, name.lower()))
    is_volatile_name = name == _CACHE_BUSTER or _VOLATILE_NAMES.fullmatch(plain) is not None
    return is_volatile_name, _TIME_NAMES.fullmatch(plain) is not None


def is_generated_id(_: str, value: Any) -> bool:
    """Return True if a value has the format of a generated id, under any name."""
    return isinstance(value, str) and len(value) >= _MIN_ID and _ID.fullmatch(value) is not None


def masked(value: Any, is_masked: Predicate, name: str = "") -> Any:
    """Return a value with a mask for the scalars that satisfy a predicate.

    Elements of an array have the name of the array.
    """
    if isinstance(value, dict):
        return {key: masked(each, is_masked, key) for key, each in value.items()}
    if isinstance(value, list):
        return [masked(each, is_masked, name) for each in value]
    if is_masked(name, value):
        return _MASK
    return value
