"""Times read and written at the edge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.errors import BadParameter
from api.http.times import format_time, read_moment_us, read_time_us


def test_what_is_no_time_is_refused_by_name() -> None:
    """The message names the parameter and lists all forms: of a time, and of a moment."""
    with pytest.raises(BadParameter, match=r"^since is '2024-13-01', expected an RFC 3339 time"):
        read_time_us("since", "2024-13-01")
    with pytest.raises(
        BadParameter, match=r"15m, 1h30m, 1\.5h or 7d, today, yesterday, a time of day .*since 1970"
    ):
        read_moment_us("until", "5y", 0)


@given(st.integers(min_value=-62_135_596_800_000, max_value=253_402_300_799_999))
def test_a_written_time_reads_back_to_its_millisecond(ms: int) -> None:
    """Pasting a shown time into a filter gives the row's own millisecond."""
    text = format_time(ms * 1000 + 999)
    assert len(text) == 24
    assert read_time_us("since", text) == ms * 1000


def test_times_outside_the_calendar_are_shown_at_its_edge() -> None:
    """A damaged clock value does not break a list."""
    assert format_time(2**63 - 1) == "9999-12-31T23:59:59.999Z"
    assert format_time(-(2**63)) == "0001-01-01T00:00:00.000Z"
