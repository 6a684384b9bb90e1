"""Times without an offset get the offset of the zone of tables."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from proxy.cli.commands.output import CommandError
from proxy.cli.commands.zone import with_offsets, yesterday_notice, zone_name, zone_of
from tests.support.cases import each_of


@pytest.fixture(autouse=True)
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine nine hours ahead of UTC."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@each_of(
    ("given", "local", "utc"),
    [
        ("2026-11-20T10:32", "2026-11-20T10:32:00+09:00", "2026-11-20T10:32:00+00:00"),
        (
            "2026-11-20 10:32:45.5",
            "2026-11-20T10:32:45.500000+09:00",
            "2026-11-20T10:32:45.500000+00:00",
        ),
        (" 2026-11-20", "2026-11-20T00:00:00+09:00", "2026-11-20T00:00:00+00:00"),
        ("2026-11-20T10:32:45Z", "2026-11-20T10:32:45Z", "2026-11-20T10:32:45Z"),
        ("2026-11-20T10:32+01:00", "2026-11-20T10:32+01:00", "2026-11-20T10:32+01:00"),
        ("15m", "15m", "15m"),
        ("2026-13-40", "2026-13-40", "2026-13-40"),
        ("-1h", "-1h", "-1h"),
        ("25:00", "25:00", "25:00"),
        ("yesterday noon", "yesterday noon", "yesterday noon"),
        ("1763600000", "1763600000", "1763600000"),
        ("2026-11-20 10:32 +02:00", "2026-11-20 10:32 +02:00", "2026-11-20 10:32 +02:00"),
        ("2026-11-20 9:32", "2026-11-20T09:32:00+09:00", "2026-11-20T09:32:00+00:00"),
    ],
)
def test_only_times_without_an_offset_get_one(given: str, local: str, utc: str) -> None:
    """Invalid times stay, for the API to refuse."""
    filters = {"since": given, "q": given, "path": "2026-11-20"}
    assert with_offsets(filters, zone_of(False)) == {
        "since": local,
        "q": given,
        "path": "2026-11-20",
    }
    assert with_offsets({"until": given}, zone_of(True)) == {"until": utc}
    assert zone_of(True) is UTC


@each_of(
    ("since", "until", "expected"),
    [
        ("14:05", None, ("2026-11-20T14:05:00+09:00", None)),
        ("14:05:30", "2026-11-21", ("2026-11-20T14:05:30+09:00", "2026-11-21T00:00:00+09:00")),
        ("15:01", "15h", ("2026-11-19T15:01:00+09:00", "15h")),
        ("13:00", "14:00", ("2026-11-20T13:00:00+09:00", "2026-11-20T14:00:00+09:00")),
        ("23:00", "01:00", ("2026-11-19T23:00:00+09:00", "2026-11-20T01:00:00+09:00")),
        ("14:00", "16:00", ("2026-11-20T14:00:00+09:00", "2026-11-20T16:00:00+09:00")),
        ("today", None, ("2026-11-20T00:00:00+09:00", None)),
        ("yesterday", "today", ("2026-11-19T00:00:00+09:00", "2026-11-20T00:00:00+09:00")),
        (
            "yesterday 9:30:10",
            "today 16:00",
            ("2026-11-19T09:30:10+09:00", "2026-11-20T16:00:00+09:00"),
        ),
        ("9:30", "9:45:10", ("2026-11-20T09:30:00+09:00", "2026-11-20T09:45:10+09:00")),
    ],
)
def test_a_time_of_day_is_the_last_one(
    since: str, until: str | None, expected: tuple[str, str | None]
) -> None:
    """Of the machine's zone; the end of a period is behind its beginning, also over midnight."""
    now = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)  # 15:00 there
    filters: dict[str, str | list[str]] = {"since": since, **({"until": until} if until else {})}
    found = with_offsets(filters, None, now)
    assert (found["since"], found.get("until")) == expected


@each_of(
    ("since", "until"),
    [("today", "yesterday"), ("1h", "2h"), ("14:05", "1h"), ("2026-11-20T06:00:00Z", "14:00")],
)
def test_a_period_that_ends_before_it_begins_is_refused(since: str, until: str) -> None:
    """It cannot match any record; both ends are parsed as the API does."""
    now = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)  # 15:00 there
    with pytest.raises(
        CommandError, match=f"the period is empty: --until {until} is before --since {since}"
    ):
        with_offsets({"since": since, "until": until}, None, now)
    assert with_offsets({"since": until, "until": since}, None, now)


def test_a_time_of_day_is_utc_where_asked_for() -> None:
    """With --utc the tables are in UTC as well."""
    now = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
    assert with_offsets({"since": "05:00"}, UTC, now) == {"since": "2026-11-20T05:00:00+00:00"}


def test_a_zone_has_a_name() -> None:
    """UTC, or how far it is from it at that moment."""
    moment = datetime(2026, 7, 1, tzinfo=UTC)
    assert zone_name(UTC, moment) == "UTC"
    assert zone_name(None, moment) == "UTC+09:00"
    assert zone_name(timezone(-timedelta(hours=3, minutes=30)), moment) == "UTC-03:30"


@each_of(
    ("filters", "notice"),
    [
        ({"since": "14:00"}, "--since 14:00 is that of yesterday, 2026-11-29 14:00"),
        ({"since": "13:00"}, ""),
        ({"since": "10:00", "until": "14:00"}, ""),
        ({"until": " 23:30:05"}, "--until 23:30:05 is that of yesterday, 2026-11-29 23:30"),
        ({"since": "yesterday 14:00"}, ""),
        ({"since": "2026-11-29T14:00"}, ""),
        ({"since": "1h"}, ""),
    ],
)
def test_a_time_of_day_that_is_still_to_come_is_said_to_be_yesterdays(
    filters: dict[str, str | list[str]], notice: str
) -> None:
    """Only where nobody has written a day."""
    now = datetime(2026, 11, 30, 13, 24, tzinfo=UTC)
    assert yesterday_notice(filters, with_offsets(filters, UTC, now), now) == notice
