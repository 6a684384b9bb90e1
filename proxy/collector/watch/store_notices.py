"""Reports a store that was replaced: a damaged one was set aside, or its file was removed.

Each report is a line of the log at once, and an event. An event needs a store, and what it reports
may happen before there is one: so events wait until `attach`.
"""

import logging
from collections.abc import Callable

from proxy.collector.committed import CommittedPositions
from proxy.collector.internal_events import InternalEvents

log = logging.getLogger(__name__)

Notice = Callable[[InternalEvents, CommittedPositions], None]


class StoreNotices:
    """Reports stores that were replaced."""

    def __init__(self) -> None:
        self._receivers: tuple[InternalEvents, CommittedPositions] | None = None
        self._waiting: list[Notice] = []

    def attach(self, events: InternalEvents, committed: CommittedPositions) -> None:
        """Add the events that wait, and from now on each at once."""
        self._receivers = events, committed
        for notice in self._waiting:
            notice(events, committed)
        self._waiting.clear()

    def on_set_aside(self, place: str, reason: str) -> None:
        """Report that a damaged store was renamed, and that an empty one takes its place."""
        log.error(
            "the store is damaged and was set aside, an empty one takes its place; `sidelog "
            "doctor` says how to rescue what is in it",
            extra={"place": place, "reason": reason},
        )
        data: dict[str, object] = {"place": place, "reason": reason, "count": None}
        self._notify(lambda events, _: events.add_event("store_set_aside", data))

    def on_removed(self, records: int) -> None:
        """Report that the store was removed or emptied while it was open, with so many records."""
        log.error(
            "the store was removed, emptied or replaced while sidelog ran, its records are lost",
            extra={"records": records},
        )
        if not records:
            return

        def report(events: InternalEvents, committed: CommittedPositions) -> None:
            committed.count_removed(records)
            events.add_gap("store_removed", records)

        self._notify(report)

    def on_set_back(self, records: int) -> None:
        """Report that the store lacks so many records that it was given; the ledger has them
        already.
        """
        self._notify(lambda events, _: events.add_gap("other_store", records))

    def _notify(self, notice: Notice) -> None:
        if self._receivers is None:
            self._waiting.append(notice)
        else:
            notice(*self._receivers)
