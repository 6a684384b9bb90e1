"""What tests of the collector share."""

import pytest


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is there is waited for, however busy the machine is."""
    monkeypatch.setattr("proxy.collector.startup.FIRST_ATTEMPT_S", 60.0)
    monkeypatch.setattr("proxy.collector.startup.ANSWER_S", 60.0)
