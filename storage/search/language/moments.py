"""Parse times as people write them: RFC 3339, ages, days, times of day and Unix times.

Pure. It accepts any offset, `Z`, fractions, and dates alone. A time without an offset is UTC; a
space before the offset may be a `+` that was not escaped in a query string. Times are cut to the
millisecond, the displayed resolution, so that a pasted time includes its row.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Final

EXPECTED: Final = "an RFC 3339 time such as 2026-11-20T10:32:45.123Z"
EXPECTED_RELATIVE: Final = (
    f"{EXPECTED} (or 2026-11-20 10:32 +02:00), an age such as 15m, 1h30m, 1.5h or 7d, today, "
    "yesterday, a time of day such as 14:05, or seconds since 1970"
)

_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?"
    r"(?: ?(?:[Zz]|UTC|GMT|([+ -])(\d\d)(?::?(\d\d))?))?)?",
    re.ASCII,
)
_PART: Final = (
    r"(\d{1,10}(?:\.\d{1,6})?) ?(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)"
)
_AGE: Final = re.compile(f"-?{_PART}(?: ?{_PART})*(?: ago)?", re.ASCII)
_DAY: Final = re.compile(r"(today|yesterday)?(?:(?:^| )(\d\d?):(\d\d)(?::(\d\d))?)?", re.ASCII)
_UNIX: Final = re.compile(r"(\d{9,10}(?:\.\d{1,6})?)|(\d{13})", re.ASCII)
"""Seconds, or milliseconds."""
_UNIT_US: Final = {
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def time_us(text: str) -> int:
    """Parse a time to Unix µs, cut to the millisecond; negative before 1970.

    Raises:
        ValueError: `text` is not a time, or the date does not exist.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(EXPECTED)

    year, month, day, hour, minute, second, fraction, sign, zone_hours, zone_minutes = (
        match.groups()
    )
    seconds = int(second or 0)
    zone = _zone(sign, zone_hours, zone_minutes)
    moment = datetime(
        int(year), int(month), int(day), int(hour or 0), int(minute or 0), tzinfo=zone
    )
    if seconds > 60:  # RFC 3339 §5.7: 60 is a leap second
        raise ValueError(EXPECTED)

    milliseconds = int((fraction or "").ljust(3, "0")[:3])
    return (moment - _EPOCH) // _MICROSECOND + seconds * 1_000_000 + milliseconds * 1000


def _zone(sign: str | None, hours: str, minutes: str | None) -> timezone:
    """Return the time zone of an offset; raises ValueError from 24 hours on."""
    if sign is None:
        return UTC
    if int(minutes or 0) > 59:
        raise ValueError("minutes of an offset above 59")
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    return timezone(-offset if sign == "-" else offset)


def moment_us(text: str, now_us: int) -> int:
    """Parse a time, an age before `now_us`, a day or a time of day to Unix µs, cut to the
    millisecond.

    Raises:
        ValueError: `text` has none of these forms.
    """
    text = text.strip()
    if _AGE.fullmatch(text):
        age_us = sum(
            Decimal(number) * _UNIT_US[unit[0]]
            for number, unit in re.findall(_PART, text, re.ASCII)
        )
        return max(0, now_us - int(age_us)) // 1000 * 1000
    if unix := _UNIX.fullmatch(text):
        return int(unix[2] or Decimal(unix[1]) * 1000) * 1000

    day_us = _day_us(text, now_us)
    if day_us is None:
        return time_us(text)
    return day_us


def _day_us(text: str, now_us: int) -> int | None:
    """Parse `today`, `yesterday`, a time on one of them, or the most recent time of day; None for
    other texts.
    """
    match = _DAY.fullmatch(text)
    if match is None or not text:
        return None

    day, *clock = match.groups()
    hour, minute, second = (int(part or 0) for part in clock)
    if hour > 23 or minute > 59 or second > 59:
        return None

    at_us = (
        now_us // _UNIT_US["d"] * _UNIT_US["d"]
        + ((hour * 60 + minute) * 60 + second) * _UNIT_US["s"]
    )
    return at_us - _UNIT_US["d"] * (day == "yesterday" or (day is None and at_us > now_us))
