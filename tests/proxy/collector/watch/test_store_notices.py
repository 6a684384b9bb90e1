"""What was found wrong with the store at the start is logged at once, and an event once there can be one."""

from typing import Any, cast

import pytest

from proxy.collector.watch.store_notices import StoreNotices


class Seen:
    """Keeps events."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []

    def add_event(self, name: str, data: dict[str, object]) -> None:
        """Keep one."""
        self.events.append((name, data["place"], data["reason"], data["count"]))

    def add_gap(self, reason: str, count: int) -> None:
        """Keep one."""
        self.events.append(("gap", reason, count))


def test_events_wait_until_there_can_be_some(caplog: pytest.LogCaptureFixture) -> None:
    """Each is reported once, in order."""
    notices = StoreNotices()
    seen = Seen()
    notices.on_set_aside("records.db.damaged-1", "malformed")
    notices.on_set_back(7)
    assert "set aside" in caplog.text
    notices.attach(cast(Any, seen))
    notices.on_set_back(8)
    assert seen.events == [
        ("store_set_aside", "records.db.damaged-1", "malformed", None),
        ("gap", "other_store", 7),
        ("gap", "other_store", 8),
    ]
