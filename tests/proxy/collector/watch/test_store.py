"""A store that was replaced is told in the log at once, and as an event as soon as there can be
one.
"""

from typing import Any, cast

import pytest

from proxy.collector.watch.store import StoreNotices


class Seen:
    """Notes events and counts."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []

    def add_event(self, name: str, data: dict[str, object]) -> None:
        """Note one."""
        self.events.append((name, data["place"], data["reason"], data["count"]))

    def count_removed(self, records: int) -> None:
        """Note some."""
        self.events.append(("dropped", records))

    def add_gap(self, reason: str, count: int) -> None:
        """Note one."""
        self.events.append(("gap", reason, count))


def test_events_wait_until_there_can_be_some(caplog: pytest.LogCaptureFixture) -> None:
    """Each is told once, in order."""
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
