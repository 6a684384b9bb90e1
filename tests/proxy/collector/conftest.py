"""What tests of the collector share."""

import pytest

from proxy.collector.access_log import AccessLog


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is there is waited for, and whatever has to end, however busy the machine is."""
    monkeypatch.setattr("proxy.collector.startup.FIRST_ATTEMPT_S", 60.0)
    monkeypatch.setattr("proxy.collector.startup.ANSWER_S", 60.0)
    monkeypatch.setattr("proxy.collector.control_plane.CLOSE_S", 60.0)
    monkeypatch.setattr(AccessLog.close, "__defaults__", (60.0,))
