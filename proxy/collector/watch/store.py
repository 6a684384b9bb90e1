"""Reports that a damaged store was set aside, or that its file was removed: in the log, and as events.

An event needs a store, and what it reports may happen before there is one: it waits until `attach`.
"""

import logging
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)


class Events(Protocol):
    """Adds events; implemented by `proxy.collector.internal_events`."""

    def add_event(self, name: str, data: dict[str, object]) -> None:
        """Add one."""
        ...

    def add_gap(self, reason: str, count: int) -> None:
        """Report that records are missing."""
        ...


class StoreNotices:
    """Reports a store that was replaced."""

    def __init__(self) -> None:
        self._events: Events | None = None
        self._waiting: list[Callable[[Events], None]] = []

    def attach(self, events: Events) -> None:
        """Add the events that wait, and from now on each at once."""
        self._events = events
        while self._waiting:
            self._waiting.pop(0)(events)

    def on_set_aside(self, place: str, reason: str) -> None:
        """Report that a damaged store has a new name now, and that an empty one takes its place."""
        log.error(
            "the store is damaged and was set aside, an empty one takes its place; `sidelog doctor` says how to rescue "
            "what is in it",
            extra={"place": place, "reason": reason},
        )
        data: dict[str, object] = {"place": place, "reason": reason, "count": None}
        self._notify(lambda events: events.add_event("store_set_aside", data))

    def on_removed(self, records: int) -> None:
        """Report that the file of the store was removed while it was open, with the records in it."""
        log.error(
            "the file of the store was removed while sidelog ran, its records are lost", extra={"records": records}
        )
        self._notify(lambda events: events.add_gap("store_removed", records))

    def _notify(self, notice: Callable[[Events], None]) -> None:
        self._waiting.append(notice)
        if self._events is not None:
            self.attach(self._events)
