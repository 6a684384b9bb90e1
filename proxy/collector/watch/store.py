"""What becomes of a store that is damaged or removed while nobody looks: said in the log, and recorded as events.

An event needs a store, and what is to be told may happen before there is one: it waits until `attach`.
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
    """Tells of a store that was replaced."""

    def __init__(self) -> None:
        self._events: Events | None = None
        self._waiting: list[Callable[[Events], None]] = []

    def attach(self, events: Events) -> None:
        """Add what waits, and from now on everything."""
        self._events = events
        while self._waiting:
            self._waiting.pop(0)(events)

    def on_set_aside(self, place: str, reason: str) -> None:
        """Tell that a damaged store has a new name now, and that an empty one takes its place."""
        log.error(
            "the store is damaged and was set aside, an empty one takes its place; `sidelog doctor` says how to rescue "
            "what is in it",
            extra={"place": place, "reason": reason},
        )
        data: dict[str, object] = {"place": place, "reason": reason, "count": None}
        self._tell(lambda events: events.add_event("store_set_aside", data))

    def on_removed(self, records: int) -> None:
        """Tell that the file of the store was removed while it was open, with the records in it."""
        log.error(
            "the file of the store was removed while sidelog ran, its records are lost", extra={"records": records}
        )
        self._tell(lambda events: events.add_gap("store_removed", records))

    def _tell(self, notice: Callable[[Events], None]) -> None:
        self._waiting.append(notice)
        if self._events is not None:
            self.attach(self._events)
