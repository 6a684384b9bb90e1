"""Reports that a damaged store was set aside, or that its file was removed: in the log, and as
events.

An event needs a store, and what it reports may happen before there is one: it waits until `attach`.
"""

import logging
from collections.abc import Callable

from proxy.collector.committed import CommittedPositions
from proxy.collector.internal_events import InternalEvents

log = logging.getLogger(__name__)


class StoreNotices:
    """Reports a store that was replaced."""

    def __init__(self) -> None:
        self._to: tuple[InternalEvents, CommittedPositions] | None = None
        self._waiting: list[Callable[[InternalEvents, CommittedPositions], None]] = []

    def attach(self, events: InternalEvents, accounts: CommittedPositions) -> None:
        """Report what waits, and from now on each at once."""
        self._to = events, accounts
        while self._waiting:
            self._waiting.pop(0)(events, accounts)

    def on_set_aside(self, place: str, reason: str) -> None:
        """Report that a damaged store has a new name now, and that an empty one takes its place."""
        log.error(
            "the store is damaged and was set aside, an empty one takes its place; `sidelog "
            "doctor` says how to rescue "
            "what is in it",
            extra={"place": place, "reason": reason},
        )
        data: dict[str, object] = {"place": place, "reason": reason, "count": None}
        self._notify(lambda events, _: events.add_event("store_set_aside", data))

    def on_removed(self, records: int) -> None:
        """Report that the store was removed or emptied while it was open, with the records in it."""
        log.error(
            "the store was removed, emptied or replaced while sidelog ran, its records are lost",
            extra={"records": records},
        )

        def report(events: InternalEvents, accounts: CommittedPositions) -> None:
            accounts.count_removed(records)
            events.add_gap("store_removed", records)

        if records:
            self._notify(report)

    def _notify(self, notice: Callable[[InternalEvents, CommittedPositions], None]) -> None:
        self._waiting.append(notice)
        if self._to is not None:
            self.attach(*self._to)
