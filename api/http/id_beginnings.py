"""The beginning of a record id in place of the whole id.

Ids are UUIDs of version 7 (RFC 9562 §5.7): their first twelve hexadecimal digits are the
milliseconds of their start. So the beginning of an id is a span of time, which the API finds by its
index.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

MIN_DIGITS: Final = 6
"""Least number of digits: a span of half a year. Shorter beginnings are typing errors."""
ID_DIGITS: Final = 32
TIME_DIGITS: Final = 12
_MAX_CANDIDATES: Final = 1000
"""Number of records read within one millisecond: the API's largest page."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def digits_of(text: str) -> str | None:
    """Return the hexadecimal digits of an id or a beginning of one; None for any other text."""
    digits = text.strip().lower().replace("-", "")
    if digits and set(digits) <= set("0123456789abcdef"):
        return digits
    return None


def span_of(digits: str) -> tuple[str, str] | None:
    """Return the first moment of the ids with this beginning, and the first moment after them.

    None if no id can have it.
    """
    digits = digits[:TIME_DIGITS]
    missing_bits = 4 * (TIME_DIGITS - len(digits))

    first = int(digits, 16)
    try:
        since, until = (
            _EPOCH + timedelta(milliseconds=number << missing_bits) for number in (first, first + 1)
        )
    except OverflowError:
        return None

    return since.isoformat(), until.isoformat()


def listing_of(text: str) -> dict[str, str] | None:
    """Return parameters of `/api/records` that list the newest records whose ids may begin with a
    text; None if no id begins with it, or it is a whole id.

    Within the digits of the time, the span alone decides, so two records in it are ambiguous.
    """
    digits = digits_of(text)
    if digits is None or not MIN_DIGITS <= len(digits) < ID_DIGITS:
        return None
    span = span_of(digits)
    if span is None:
        return None

    since, until = span
    if len(digits) <= TIME_DIGITS:
        limit = 2
    else:
        limit = _MAX_CANDIDATES
    return {"since": since, "until": until, "kind": "all", "limit": str(limit)}


def ids_beginning(text: str, records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the ids of listed records that begin with a text."""
    digits = digits_of(text) or ""
    ids = (str(record["id"]) for record in records)
    return [each for each in ids if each.replace("-", "").startswith(digits)]
