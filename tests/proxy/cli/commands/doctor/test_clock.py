"""The doctor on the clock."""

import re
import time
from types import SimpleNamespace

import pytest

from proxy.cli.commands.doctor import databases
from proxy.cli.commands.doctor.databases import check_skew
from proxy.cli.commands.doctor.doctor import check_clock
from proxy.settings.model import Settings
from tests.support import postgres
from tests.support.cases import each_of


def test_a_clock_that_was_never_set_is_a_failure(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without a battery begins in 1970."""
    monkeypatch.setattr(time, "time", lambda: 12.0)
    (finding,) = check_clock(settings)
    assert (finding.state, finding.text) == ("fail", "1970-01-01T00:00:12Z")


@each_of(
    ("their_s", "expected"),
    [
        (100.0, None),
        (95.0, None),
        (107.0, None),
        (94.0, "6 s ahead of that of db"),
        (112.0, "10 s behind that of db"),
    ],
)
def test_clocks_of_a_database_and_ours_agree(their_s: float, expected: str | None) -> None:
    """The question is at 100 and the answer at 102: a time in between is not a difference, and
    neither are five seconds.
    """
    found = list(check_skew("db", their_s, 100.0, 102.0))
    assert [finding.state for finding in found] == (["warn"] if expected else [])
    assert all(expected is not None and expected in finding.text for finding in found)


def test_a_database_with_another_time_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be used all the same: the store is in order, the clock is not."""
    monkeypatch.setattr(databases, "time", SimpleNamespace(time=lambda: time.time() - 3600))
    store, skew = databases.check_postgres(postgres.url("postgres"))
    assert (store.state, skew.state, skew.name) == ("ok", "warn", "clock")
    found = re.search(r"ours is (\d+) s behind that of", skew.text)
    assert found is not None, skew.text
    # The time since the question counts as difference.
    assert 3500 < int(found[1]) <= 3600
