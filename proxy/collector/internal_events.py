"""Records the collector makes itself: events such as gaps, and the exchanges a dead worker left behind.

They are a source of their own (`SOURCE_INTERNAL`), whose position counts them. While a store that was away at the start
has not come, it is not known how many there are already: events wait in memory then.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from storage.ledger import SOURCE_INTERNAL
from storage.record import Entry, Position
from storage.writer.writer import Writer

MAX_DEFERRED: Final = 1000
"""Events kept in memory for a store that has not come yet; the oldest go first."""
SIZE_BYTES: Final = 1024
"""What one takes of memory, about."""


class EventBuilder(Protocol):
    """Makes events; see `proxy.enrich.records`."""

    def event(self, name: str, data: dict[str, object]) -> Entry:
        """Make an event of our own."""
        ...


class OwnRecords:
    """Hands records of our own to the writer."""

    def __init__(self, builder: EventBuilder, writer: Writer, committed: Mapping[bytes, Position]) -> None:
        """Count on from the committed position."""
        self._builder = builder
        self._writer = writer
        self._position = committed.get(SOURCE_INTERNAL, Position())
        self._deferred: deque[tuple[str, dict[str, object]]] = deque(maxlen=MAX_DEFERRED)
        self.is_deferring = False
        """Whether events wait in memory."""
        self.observe: Callable[[list[Entry]], None] = lambda entries: None
        """Told of what is put into the log."""

    def begin(self, committed: Mapping[bytes, Position]) -> None:
        """Count on from a position that is known now, beginning with the events that have waited for it."""
        self._position = committed.get(SOURCE_INTERNAL, Position())
        self.is_deferring = False
        while self._deferred:
            self.add_event(*self._deferred.popleft())

    def add(self, entry: Entry) -> None:
        """Put a record into the log."""
        old = self._position
        self._position = Position(0, old.taken + 1, old.stored + 1, old.received + 1, old.dropped, True)
        self._writer.add(entry, SIZE_BYTES, SOURCE_INTERNAL, self._position)
        self.observe([entry])

    def add_event(self, name: str, data: dict[str, object]) -> None:
        """Put an event into the log."""
        if self.is_deferring:
            self._deferred.append((name, data))
        else:
            self.add(self._builder.event(name, data))

    def add_gap(self, reason: str, count: int, from_ms: int | None = None, to_ms: int | None = None) -> None:
        """Say in the log itself that records were dropped: how many, why, and when, which is now unless it is given."""
        now_ms = time.time_ns() // 1_000_000
        times = {"fromMs": now_ms if from_ms is None else from_ms, "toMs": now_ms if to_ms is None else to_ms}
        self.add_event("gap", {"count": count, "reason": reason, **times})
