"""Attempts to commit a batch: their timeouts, the pauses between them, and their outcomes.

Pauses double up to a bound, each shortened at random, so that several sidecars do not retry at the
same moment. A hanging store looks like a slow one. While the queue has room, waiting loses nothing;
when it is full, only the spool makes room, and it is tried between two attempts. So attempts are
short while the queue is full and the spool is not, but never shorter than present commits take. A
store that misses a short timeout counts as slow. It counts as away once one or several attempts
have waited for it as long as the full timeout.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from storage.errors import StorageSlow, StorageUnavailable
from storage.record import Batch

log = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 0.05
MAX_PAUSE_S: Final = 5.0
TIMEOUT_S: Final = 15.0
"""Timeout of an attempt. The next attempt checks whether the commit happened."""
FULL_TIMEOUT_S: Final = 1.0
"""Timeout of an attempt while the queue is full: at 20 000 exchanges/s of 2 KiB the ring holds more
than arrives meanwhile.
"""
_LONGER: Final = 4
"""While the queue is full, an attempt may take this many times as long as recent commits, if that
is more than `FULL_TIMEOUT_S`.
"""

BatchOutcome = Literal["stored", "retried", "rejected", "spooled"]
OnAttempt = Callable[[BatchOutcome, int, float], None]
"""Called after every attempt and for every spooled batch, with outcome, number of records, and
seconds.
"""
MakeRoom = Callable[[int, int], Awaitable[None]]
"""Awaited before a batch is committed, with its number of entries and its bytes; 0 bytes: unknown.
"""
_OUTCOMES: Final[tuple[BatchOutcome, ...]] = ("stored", "retried", "rejected", "spooled")


class CommitListener(Protocol):
    """Listener for commits, called on the loop; must be quick."""

    def on_commit(self, batch: Batch, /) -> None:
        """Handle a commit, in order: the batch as stored, with corrected positions. After a commit
        without an answer it has only the last entry.
        """
        ...


class WriterListener(CommitListener, Protocol):
    """Listener for stored, spooled and dropped records, called on the loop; must be quick."""

    def on_spooled(self, batch: Batch, /) -> None:
        """Handle a batch that went to the spool instead; its positions are in effect from now on."""
        ...

    def on_dropped(self, reason: str, records: int, /) -> None:
        """Handle dropped records, after the commit that counts them: reason as in the ledger, and
        number.
        """
        ...


@dataclass(slots=True)
class WriterCounters:
    """Counters of a writer since it was made."""

    batches: dict[BatchOutcome, int] = field(default_factory=lambda: dict.fromkeys(_OUTCOMES, 0))
    """Attempts to commit or spool a batch, by outcome."""
    records_escaped: int = 0
    """Records that had to be escaped to be stored."""
    records_quarantined: int = 0
    last_flush_s: float = 0.0
    """Duration of the newest successful commit."""


@dataclass(slots=True, eq=False)
class Availability:
    """State of the store, after the newest attempt."""

    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    is_up: bool = field(kw_only=True, default=True)
    _pause_s: float = field(default=FIRST_PAUSE_S, init=False)
    reason: str = field(default="", init=False)
    """Why the store did not take the newest batch; empty if it did."""
    retry_at_s: float = field(default=0.0, init=False)
    """When the next attempt may be made, by `clock`."""

    def note_down(self, error: Exception) -> None:
        """Start a pause before the next attempt, and report the store as away unless it was only
        slow.

        Of the error only the text is kept.
        """
        _clear_frames(error)
        self.retry_at_s = self.clock() + self._pause_s * (0.5 + self.jitter() / 2)
        self._pause_s = min(2 * self._pause_s, MAX_PAUSE_S)
        if isinstance(error, StorageSlow) and self.is_up:
            return

        self.reason = str(error)
        if self.is_up:
            self.is_up = False
            log.warning("the store is unavailable, nothing is lost yet: %s", error)

    def note_up(self) -> None:
        self.retry_at_s = 0.0
        self._pause_s = FIRST_PAUSE_S
        self.reason = ""
        if not self.is_up:
            self.is_up = True
            log.warning("the store is available again")


def _clear_frames(error: BaseException | None) -> None:
    """Release the frames in an error's traceback: they hold the batch that was tried, and a future
    that holds it.

    Otherwise only a garbage collection of cycles frees them, and those are rare here: 13 MiB after
    40 s of a locked SQLite.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


class CommitTimeout:
    """A timeout for requests to the store, one request at a time."""

    def __init__(
        self, timeout_s: float | None = TIMEOUT_S, full_timeout_s: float = FULL_TIMEOUT_S
    ) -> None:
        """Wait up to `timeout_s`, and up to `full_timeout_s` where the spool can take the batch.
        None: without a timeout.
        """
        self._timeout_s = timeout_s
        self._full_timeout_s = full_timeout_s
        self._usual_s = 0.0
        """Duration of recent commits, decaying."""
        self._silent_s = 0.0
        """Time spent waiting for the store since its last answer."""
        self._running: asyncio.Timeout | None = None

    @asynccontextmanager
    async def bounded(self, *, is_urgent: bool) -> AsyncIterator[None]:
        """Limit the time of the body; `is_urgent`: the queue is full, and the spool is not.

        Raises:
            StorageSlow: No answer within a short timeout; the request was cancelled.
            StorageUnavailable: No answer within the full timeout, in one attempt or several.
        """
        began_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._timeout_s) as self._running:
                if is_urgent:
                    self.shorten()
                yield
        except TimeoutError as error:
            raise self._no_answer(began_s) from error
        finally:
            self._running = None

        self._silent_s = 0.0

    def note_commit(self, took_s: float) -> None:
        """Learn from the duration of a commit how long others take."""
        # Decay instead of replacing: the newest commit may have been a small one.
        self._usual_s = max(took_s, self._usual_s / 2)

    def shorten(self) -> None:
        """Shorten the running timeout: the queue is full, and the spool is not."""
        self._end_within(max(self._full_timeout_s, _LONGER * self._usual_s))

    def limit(self, timeout_s: float) -> None:
        """Lower the timeout from now on, also for the running request: the writer closes, and the
        rest goes to the spool.
        """
        if self._timeout_s is not None:
            self._end_within(timeout_s)
            self._timeout_s = min(self._timeout_s, timeout_s)

    def _no_answer(self, began_s: float) -> StorageUnavailable:
        running = self._running
        if self._timeout_s is not None and running is not None and running.expired():
            self._silent_s += (running.when() or began_s) - began_s
            if self._silent_s < self._timeout_s:
                return StorageSlow("the store did not answer within a short time")
        return StorageUnavailable("the store did not answer in time")

    def _end_within(self, seconds: float) -> None:
        if self._running is None or self._timeout_s is None or self._running.expired():
            return
        ends_s = asyncio.get_running_loop().time() + seconds
        if (limit_s := self._running.when()) is not None and ends_s < limit_s:
            self._running.reschedule(ends_s)
