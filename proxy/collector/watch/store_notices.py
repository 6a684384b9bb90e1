"""Reports that a damaged store was set aside at the start, or that the store lacks records.

Each report is a line of the log at once, and an event. An event needs a store, and what it reports
may happen before there is one: so events wait until `attach`.
"""

import logging
from collections.abc import Callable

from proxy.collector.internal_events import InternalEvents

log = logging.getLogger(__name__)

Notice = Callable[[InternalEvents], None]


class StoreNotices:
    """Reports what was found wrong with the store at the start."""

    def __init__(self) -> None:
        self._events: InternalEvents | None = None
        self._waiting: list[Notice] = []

    def attach(self, events: InternalEvents) -> None:
        """Add the events that wait, and from now on each at once."""
        self._events = events
        for notice in self._waiting:
            notice(events)
        self._waiting.clear()

    def on_set_aside(self, place: str, reason: str) -> None:
        """Report that a damaged store was renamed, and that an empty one takes its place."""
        log.error(
            "the store is damaged and was set aside, an empty one takes its place; `sidelog "
            "doctor` says how to rescue what is in it",
            extra={"place": place, "reason": reason},
        )
        data: dict[str, object] = {"place": place, "reason": reason, "count": None}
        self._notify(lambda events: events.add_event("store_set_aside", data))

    def on_set_back(self, records: int) -> None:
        """Report that the store lacks so many records that it was given; the ledger has them
        already.
        """
        self._notify(lambda events: events.add_gap("other_store", records))

    def _notify(self, notice: Notice) -> None:
        if self._events is None:
            self._waiting.append(notice)
        else:
            notice(self._events)
