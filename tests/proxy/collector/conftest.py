"""What tests of the collector share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.collector.access_log import AccessLog
from tests.support.rings import RingWorker


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is there is waited for, and whatever has to end, however busy the machine is."""
    monkeypatch.setattr("proxy.collector.startup.FIRST_ATTEMPT_S", 60.0)
    monkeypatch.setattr("proxy.collector.startup.ANSWER_S", 60.0)
    monkeypatch.setattr("proxy.collector.control_plane.CLOSE_S", 60.0)
    monkeypatch.setattr(AccessLog.close, "__defaults__", (60.0,))


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[RingWorker]:
    """A worker that lives, and its ring in a file."""
    made = RingWorker(tmp_path)
    yield made
    made.die()
