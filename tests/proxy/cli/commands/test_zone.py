"""Times without an offset get that of the zone that tables are shown in."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from proxy.cli.commands.zone import with_offsets, zone_name, zone_of


@pytest.fixture(autouse=True)
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine nine hours ahead of UTC."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("given", "local", "utc"),
    [
        ("2026-11-20T10:32", "2026-11-20T10:32:00+09:00", "2026-11-20T10:32:00+00:00"),
        ("2026-11-20 10:32:45.5", "2026-11-20T10:32:45.500000+09:00", "2026-11-20T10:32:45.500000+00:00"),
        (" 2026-11-20", "2026-11-20T00:00:00+09:00", "2026-11-20T00:00:00+00:00"),
        ("2026-11-20T10:32:45Z", "2026-11-20T10:32:45Z", "2026-11-20T10:32:45Z"),
        ("2026-11-20T10:32+01:00", "2026-11-20T10:32+01:00", "2026-11-20T10:32+01:00"),
        ("15m", "15m", "15m"),
        ("2026-13-40", "2026-13-40", "2026-13-40"),
        ("yesterday", "yesterday", "yesterday"),
    ],
)
def test_only_times_without_an_offset_get_one(given: str, local: str, utc: str) -> None:
    """What the API cannot read is left for it to say so."""
    filters = {"since": given, "q": given, "path": "2026-11-20"}
    assert with_offsets(filters, zone_of(False)) == {"since": local, "q": given, "path": "2026-11-20"}
    assert with_offsets({"until": given}, zone_of(True)) == {"until": utc}
    assert zone_of(True) is UTC


def test_a_zone_has_a_name() -> None:
    """UTC, or how far it is from it at that moment."""
    moment = datetime(2026, 7, 1, tzinfo=UTC)
    assert zone_name(UTC, moment) == "UTC"
    assert zone_name(None, moment) == "UTC+09:00"
    assert zone_name(timezone(-timedelta(hours=3, minutes=30)), moment) == "UTC-03:30"
