"""Moments as people write them."""

import re
from datetime import UTC, datetime

import pytest

from storage.search.language.moments import EXPECTED, moment_us, time_us
from tests.support.cases import each_of

GOOD = [
    ("1970-01-01T00:00:00Z", 0),
    ("1970-01-01", 0),
    ("1970-01-01T00:00:01.5Z", 1_500_000),
    ("1970-01-01T00:00:00.123999Z", 123_000),
    ("1970-01-01t00:00:01z", 1_000_000),
    ("1970-01-01 00:00:01", 1_000_000),
    ("1970-01-01T00:01", 60_000_000),
    ("1970-01-01T02:00:00+02:00", 0),
    ("1970-01-01T02:00:00 02:00", 0),
    ("1969-12-31T19:00:00-0500", 0),
    ("1970-01-01 02:00 +02:00", 0),
    ("1970-01-01 02:00  02:00", 0),
    ("1970-01-01T02:00+02", 0),
    ("1970-01-01 00:00:01 UTC", 1_000_000),
    ("1970-01-01T00:00:60Z", 60_000_000),
    ("2024-06-12T14:33:54.102Z", 1_718_202_834_102_000),
]
BAD = [
    "", "now", "0", "1718201234", "2024-13-01", "2024-02-30", "2024-06-12T25:00:00Z", "2024-06-12T14:60:00Z",
    "2024-06-12T14:00:61Z", "2024-06-12T14:00:00+24:00", "2024-06-12T14:00:00+01:60", "2024-06-12T", "12-06-2024",
    "٢٠٢٤-06-12", "2024-06-12T14:33:54.Z", "0000-01-01", "2024-06-12T14:33:54Z\n2", "2024-06-12T14:33:54.1234567890Z",
]  # fmt: skip


@each_of(("text", "expected_us"), GOOD)
def test_good_times_are_read(text: str, expected_us: int) -> None:
    """Offsets, fractions, bare dates and naive times mean what RFC 3339 and UTC say."""
    assert time_us(text) == expected_us


@each_of("text", BAD)
def test_bad_times_are_refused(text: str) -> None:
    """What is no time of the calendar is none."""
    with pytest.raises(ValueError):  # noqa: PT011 -- its text is the caller's
        time_us(text)


@each_of(
    ("text", "age_us"),
    [("30s", 30_000_000), ("15m", 900_000_000), ("24h", 86_400_000_000), ("7d", 604_800_000_000), ("0s", 0),
     ("-5m", 300_000_000), ("5min", 300_000_000), ("5 min", 300_000_000), ("5 minutes ago", 300_000_000),
     ("1h30m", 5_400_000_000), ("1.5h", 5_400_000_000), ("1 hour 30 mins", 5_400_000_000), ("2hrs", 7_200_000_000),
     ("1d12h", 129_600_000_000), ("90sec", 90_000_000), ("2 weeks", 1_209_600_000_000)],
)  # fmt: skip
def test_ages_count_back_from_now(text: str, age_us: int) -> None:
    """A relative time is now minus the age."""
    assert moment_us(text, 1_718_201_234_000_000) == 1_718_201_234_000_000 - age_us


@each_of("text", ["15", "m", "+5m", "5y", "5mo", "12345678901s", "٣m", "1.h", "--5m"])
def test_bad_ages_are_refused(text: str) -> None:
    """An age is ASCII numbers with units."""
    with pytest.raises(ValueError, match=re.escape(EXPECTED)):
        moment_us(text, 0)


@each_of(
    ("text", "written"),
    [
        ("today", "2024-06-12T00:00:00.000Z"),
        ("yesterday", "2024-06-11T00:00:00.000Z"),
        ("yesterday 14:05", "2024-06-11T14:05:00.000Z"),
        ("today 9:30:10", "2024-06-12T09:30:10.000Z"),
        ("13:00", "2024-06-12T13:00:00.000Z"),
        ("15:00", "2024-06-11T15:00:00.000Z"),
        ("1718201234", "2024-06-12T14:07:14.000Z"),
        ("1718201234.5", "2024-06-12T14:07:14.500Z"),
        ("1718201234.25", "2024-06-12T14:07:14.250Z"),
        ("971820123.125", "2000-10-17T22:02:03.125Z"),
        ("1718201234567", "2024-06-12T14:07:14.567Z"),
    ],
)
def test_days_times_of_day_and_unix_times_are_moments(text: str, written: str) -> None:
    """In UTC; a time of day is the last one."""
    at = datetime.fromtimestamp(moment_us(text, 1_718_201_234_000_000) / 1_000_000, UTC)
    assert at.isoformat(timespec="milliseconds").replace("+00:00", "Z") == written


@each_of("text", ["today 25:00", "14:60", "24:00", "todayish", "tomorrow", "today14:00"])
def test_bad_days_are_refused(text: str) -> None:
    """A time that no day has is none."""
    with pytest.raises(ValueError, match=re.escape(EXPECTED)):
        moment_us(text, 1_718_201_234_000_000)


def test_a_very_long_age_reaches_the_epoch_and_not_before() -> None:
    """Ages beyond 1970 mean everything."""
    assert moment_us("9999999999w", 1_718_201_234_000_000) == 0
