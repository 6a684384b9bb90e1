"""The writer's attempts to commit a batch: how long each may take, when the next one is made, what
became of them.

Pauses double up to a bound, each shortened by chance, so that several sidecars do not ask at the
same moment. A store that hangs looks like one that is slow: as long as the queue has room nothing
is lost by waiting; when it is full, only the spool makes room, and it is tried between two
attempts. So an attempt is short while the queue is full and the spool is not, but never shorter
than commits take at present; and a store that was given up so is slow. It counts as away when it
was waited for, in one attempt or several, as long as for a store while there is room.
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
"""An attempt is given up after this; whether a commit happened is looked up."""
FULL_TIMEOUT_S: Final = 1.0
"""And after this when the queue is full: at 20 000 exchanges/s of 2 KiB the ring takes more than
that.
"""
_LONGER: Final = 4
"""So many times as long as the commit before is waited for when the queue is full, if that is more.
"""

BatchOutcome = Literal["stored", "retried", "rejected", "spooled"]
OnAttempt = Callable[[BatchOutcome, int, float], None]
"""Called after every attempt and for every batch that is spooled, with its outcome, records,
seconds.
"""
MakeRoom = Callable[[int, int], Awaitable[None]]
"""Awaited before a batch of so many entries and bytes is committed; 0 bytes: not known."""
_OUTCOMES: Final[tuple[BatchOutcome, ...]] = ("stored", "retried", "rejected", "spooled")


class CommitListener(Protocol):
    """Is notified of commits, on the loop; must be quick."""

    def on_commit(self, batch: Batch, /) -> None:
        """Every commit, in order: the batch as stored, positions corrected; of one without an
        answer the last entry.
        """
        ...


class WriterListener(CommitListener, Protocol):
    """Notifies the feeder of the writer of all that becomes of the records, on the loop; must be
    quick.
    """

    def on_spooled(self, batch: Batch, /) -> None:
        """Every batch that went to the spool instead; its positions are in effect from now on."""
        ...

    def on_dropped(self, reason: str, records: int, /) -> None:
        """Records were dropped, after the commit that counts them: the reason in the ledger, how
        many.
        """
        ...


@dataclass(slots=True)
class WriterCounters:
    """What the writer has done since it was made."""

    batches: dict[BatchOutcome, int] = field(default_factory=lambda: dict.fromkeys(_OUTCOMES, 0))
    """Attempts to commit a batch, by outcome."""
    records_escaped: int = 0
    """Records that had to be escaped to be stored."""
    records_quarantined: int = 0
    last_flush_s: float = 0.0
    """How long the newest successful commit took."""


@dataclass(slots=True, eq=False)
class Availability:
    """Whether the store is there, by the newest attempt."""

    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    is_up: bool = field(kw_only=True, default=True)
    _pause_s: float = field(default=FIRST_PAUSE_S, init=False)
    reason: str = field(default="", init=False)
    """Why the store did not take the newest batch; empty while it does."""
    retry_at_s: float = field(default=0.0, init=False)
    """When it may be asked again, by the clock."""

    def note_down(self, error: Exception) -> None:
        """Leave the store alone for a while; one that is slow is there. Of the error only the text
        is kept.
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
    """Drop the frames an error went through: they hold the batch that was tried, and a future that
    holds it.

    Only a collection of cycles would free them, which we let happen rarely: 13 MiB after 40 s of a
    locked SQLite.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


class CommitTimeout:
    """Bounds requests to the store, one at a time."""

    def __init__(
        self, timeout_s: float | None = TIMEOUT_S, full_timeout_s: float = FULL_TIMEOUT_S
    ) -> None:
        """Wait `timeout_s` at most, `full_timeout_s` where the spool takes over; None: without end,
        there is none.
        """
        self._timeout_s = timeout_s
        self._full_timeout_s = full_timeout_s
        self._usual_s = 0.0
        """How long the newest commits took, about."""
        self._silent_s = 0.0
        """How long the store was waited for since its last answer."""
        self._running: asyncio.Timeout | None = None

    @asynccontextmanager
    async def bounded(self, *, is_urgent: bool) -> AsyncIterator[None]:
        """Bound what is awaited in it; `is_urgent`: the queue is full, and the spool is not.

        Raises:
            StorageSlow: No answer in a short time; what was asked was cancelled.
            StorageUnavailable: No answer in time, in this attempt or in several.
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
        """Learn from a commit how long others take."""
        # One alone may have been a small one.
        self._usual_s = max(took_s, self._usual_s / 2)

    def shorten(self) -> None:
        """The queue is full, and the spool is not: shorten the timeout that is running."""
        self._end_within(max(self._full_timeout_s, _LONGER * self._usual_s))

    def limit(self, timeout_s: float) -> None:
        """Let nothing take longer from now on, what is running included: the writer closes, the
        spool takes over.
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
