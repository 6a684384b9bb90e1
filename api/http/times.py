"""Times in the API: read like the moments of a search, written in UTC with milliseconds and `Z`."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from api.http.errors import BadParameter
from storage.search.language.moments import EXPECTED, EXPECTED_RELATIVE, moment_us, time_us

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_S: Final = -62_135_596_800
"""0001-01-01, the first day of `datetime`."""
_LAST_S: Final = 253_402_300_799
"""The last second of 9999."""


def read_time_us(name: str, text: str) -> int:
    """Read a time in Unix µs, cut to the millisecond; negative before 1970.

    Raises:
        BadParameter: `text` is not a time, or not a date that exists.
    """
    try:
        return time_us(text)
    except ValueError as error:
        raise BadParameter(name, text, EXPECTED) from error


def read_moment_us(name: str, text: str, now_us: int) -> int:
    """Read a time, an age before `now_us`, or a day or time of day, in Unix µs cut to the
    millisecond.

    Raises:
        BadParameter: `text` is not one of these.
    """
    try:
        return moment_us(text, now_us)
    except ValueError as error:
        raise BadParameter(name, text, EXPECTED_RELATIVE) from error


def format_time(time_us: int) -> str:
    """Return Unix µs as UTC with milliseconds and `Z`.

    A time outside the years 1 to 9999 becomes the nearest one inside.
    """
    seconds, ms = divmod(time_us // 1000, 1000)
    if seconds < _FIRST_S:
        return "0001-01-01T00:00:00.000Z"
    if seconds <= _LAST_S:
        return f"{_format_second(seconds)}.{ms:03d}Z"
    return "9999-12-31T23:59:59.999Z"


@lru_cache(maxsize=4096)
def _format_second(seconds: int) -> str:
    """Format a second. Rows of one page share most of theirs (0.5 µs a time instead of 2.5)."""
    return (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()


def format_time_or_none(time_us: int | None) -> str | None:
    """Format Unix µs as `format_time` does; None stays None."""
    if time_us is None:
        return None
    return format_time(time_us)
