"""Records that the collector makes itself: events such as gaps, and exchanges that a dead worker
left unfinished.

They form a source of their own (`SOURCE_INTERNAL`), whose position counts them. Until an absent
store opens for the first time, their stored number is unknown, so events wait in memory.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from proxy.enrich.records import RecordBuilder
from storage.ledger import SOURCE_INTERNAL
from storage.record import Entry, Position
from storage.writer.writer import Writer

MAX_DEFERRED: Final = 1000
"""Events kept in memory while the store is away; the oldest are dropped first."""
SIZE_BYTES: Final = 1024
"""Approximate memory of one event."""


class InternalEvents:
    """Hands the collector's own records to the writer."""

    def __init__(
        self,
        builder: RecordBuilder,
        writer: Writer,
        committed: Mapping[bytes, Position],
        observe: Callable[[list[Entry]], None] | None = None,
    ) -> None:
        """Continue from the committed position; `observe` is called with every added event."""
        self._builder = builder
        self._writer = writer
        self._position = committed.get(SOURCE_INTERNAL, Position())
        self._observe = observe
        self._deferred: deque[tuple[str, dict[str, object]]] = deque(maxlen=MAX_DEFERRED)
        self._is_deferring = False

    def defer(self) -> None:
        """Keep events in memory until `restart`."""
        self._is_deferring = True

    def restart(self, committed: Mapping[bytes, Position]) -> None:
        """Continue from a position that is now known, starting with the deferred events."""
        self._position = committed.get(SOURCE_INTERNAL, Position())
        self._is_deferring = False
        while self._deferred:
            self.add_event(*self._deferred.popleft())

    def add(self, entry: Entry) -> None:
        old = self._position
        self._position = Position(
            0, old.taken + 1, old.stored + 1, old.received + 1, old.dropped, True
        )
        self._writer.add(entry, SIZE_BYTES, SOURCE_INTERNAL, self._position)
        if self._observe is not None:
            self._observe([entry])

    def add_event(self, name: str, data: dict[str, object]) -> None:
        if self._is_deferring:
            self._deferred.append((name, data))
        else:
            self.add(self._builder.event(name, data))

    def add_gap(
        self, reason: str, count: int, from_ms: int | None = None, to_ms: int | None = None
    ) -> None:
        """Add a record that reports dropped records: how many, why, and when (default: now)."""
        now_ms = time.time_ns() // 1_000_000
        times = {
            "fromMs": now_ms if from_ms is None else from_ms,
            "toMs": now_ms if to_ms is None else to_ms,
        }
        self.add_event("gap", {"count": count, "reason": reason, **times})

    def add_unclean_start(self, reason: str, source_id: bytes, at_least: int = 0) -> None:
        """Add a record that reports a lost ring. Its number of records is unknown, but `at_least`
        as many as given.
        """
        known: dict[str, object] = {"minCount": at_least} if at_least else {}
        self.add_event(
            "unclean_start", {"count": None, **known, "reason": reason, "ring": source_id.hex()}
        )
