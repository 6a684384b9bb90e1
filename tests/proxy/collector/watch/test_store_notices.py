"""A store that was replaced is reported in the log at once, and as an event once there is a store."""

from typing import Any, cast

import pytest

from proxy.collector.watch.store_notices import StoreNotices


class Seen:
    """Keeps events and counts."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []

    def add_event(self, name: str, data: dict[str, object]) -> None:
        """Keep one."""
        self.events.append((name, data["place"], data["reason"], data["count"]))

    def count_removed(self, records: int) -> None:
        """Keep a count."""
        self.events.append(("dropped", records))

    def add_gap(self, reason: str, count: int) -> None:
        """Keep one."""
        self.events.append(("gap", reason, count))


def test_events_wait_until_there_can_be_some(caplog: pytest.LogCaptureFixture) -> None:
    """Each is reported once, in order."""
    notices = StoreNotices()
    seen = Seen()
    notices.on_set_aside("records.db.damaged-1", "malformed")
    notices.on_removed(7)
    assert "set aside" in caplog.text
    assert "replaced while sidelog ran" in caplog.text
    notices.attach(cast(Any, seen), cast(Any, seen))
    notices.on_removed(8)
    assert seen.events == [
        ("store_set_aside", "records.db.damaged-1", "malformed", None),
        ("dropped", 7),
        ("gap", "store_removed", 7),
        ("dropped", 8),
        ("gap", "store_removed", 8),
    ]
