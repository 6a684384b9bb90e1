"""Retention by age: what is too old becomes invisible at once and is deleted in slices.

Strategy: age is turned into a floor of whole hours, which the store keeps; readers see nothing
below it. Deletion follows in slices that take turns with the batches of the writer, and may lag
without anybody noticing; it rests after a slice for as long as that took, and still is faster than
ingest: SQLite deletes 15 900 rows per second of ten million beside 2 000 records per second, 6 900
of a million beside 5 000 on a busy machine (bench/README.md). The cap on size is `size_cap.py`.

What is too old is decided by a clock that the records do not contradict (`trusted_clock.py`), nor
that of a server.

Invariant: the floor never falls unless it lies in the future, and never passes the beginning of the
running hour.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from storage.base import Storage
from storage.errors import StorageUnavailable
from storage.purge import RetentionState
from storage.query import Filter, RecordQuery
from storage.record import now_us
from storage.relational.time_ranges import DAY_US, HOUR_US
from storage.writer.trusted_clock import TrustedClock

log = logging.getLogger(__name__)

ROUND_S: Final = 60.0
"""How often age is looked at: floors are whole hours."""
CLOCK: Final = "retention_clock_us"
"""Under which name the store keeps the time that was believed last."""
SLICE_ROWS: Final = 2000
"""Of a slice of deletion, which a batch may have to wait for: some 50 ms; SQLite ends its own much
earlier.
"""
_KEPT_EVERY_US: Final = 600_000_000
_REPORTED_US: Final = HOUR_US
"""A clock that is further ahead is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is kept; 0 is no limit."""

    max_age_us: int = 0
    body_max_age_us: int = 0

    @classmethod
    def of(cls, max_age_days: float, body_max_age_days: float) -> "Limits":
        return cls(
            max_age_us=round(max_age_days * DAY_US),
            body_max_age_us=round(body_max_age_days * DAY_US),
        )


@dataclass(frozen=True, slots=True)
class Floors:
    """Where rows and bodies begin to be visible, Unix µs, whole hours."""

    purge_us: int
    body_us: int


def floors(limits: Limits, state: RetentionState, now_us: int) -> Floors:
    """Decide the floors."""
    purge_us = max(_floor(now_us, limits.max_age_us), state.purge_floor_us)
    body_us = max(_floor(now_us, limits.body_max_age_us), state.body_floor_us)
    return Floors(purge_us, max(purge_us, body_us))


class Retention:
    """The task that keeps a store within its limits."""

    def __init__(
        self,
        storage: Storage,
        limits: Limits,
        on_purged: Callable[[int, Floors], None] = lambda rows, floors: None,
        *,
        clock_us: Callable[[], int] = now_us,
        trusted: TrustedClock | None = None,
    ) -> None:
        """Keep a store, which is not closed, within limits.

        `on_purged` gets how many rows went below which floors, when all of them are gone, or the
        task ends. `trusted` says what is believed of the wall clock.
        """
        self._storage = storage
        self._limits = limits
        self._on_purged = on_purged
        self._clock_us = clock_us
        self._trusted = trusted or TrustedClock(clock_us)
        self._kept_us = 0
        self.lag_s = 0.0
        """How far deletion is behind, as of the last look."""
        self.rows_purged = 0
        """Rows deleted since the start."""
        self.erasing = 0
        """Erased records that the store had not deleted yet then, for those that erase behind."""
        self.looked_at_us: int | None = None
        """When age was last looked at, Unix µs."""
        self.state: RetentionState | None = None
        """What the store said then."""
        self.clock_ahead_us = 0
        """How far the wall clock was ahead of what is believed then."""

    async def run(self) -> None:
        """Look at age every minute, until cancelled. A store that is away is asked again the next
        time.
        """
        while True:
            try:
                await self.tidy()
            except StorageUnavailable as error:
                log.warning("retention waits for the store: %s", error)
            await asyncio.sleep(ROUND_S)

    async def tidy(self) -> None:
        """Raise the floors and delete everything below them."""
        state = await self._look()
        # Of sidecars that share a store one whose clock is ahead would delete what the others have.
        if state.server_now_us is None:
            latest_us = self._clock_us()
        else:
            latest_us = state.server_now_us
        believed_us = await self._believed_us()
        if believed_us is None:
            now_us = latest_us
        else:
            now_us = min(believed_us, latest_us)

        if max(state.purge_floor_us, state.body_floor_us) > latest_us:
            log.error(
                "the store hides what is younger than the clock tells: a clock was ahead, this is "
                "undone"
            )
            await self._storage.move_floors(
                _floor(now_us, self._limits.max_age_us),
                _floor(now_us, self._limits.body_max_age_us),
                down=True,
            )
            state = await self._look()

        if believed_us is not None:
            await self._raise(state, now_us)
        await self._finish_erasures()
        await self._look()

    async def _look(self) -> RetentionState:
        state = await self._storage.retention()
        self.lag_s, self.state, self.looked_at_us = state.lag_s, state, self._clock_us()
        return state

    async def _raise(self, state: RetentionState, now_us: int) -> None:
        """Raise the floors to where they belong now, and delete what is below them."""
        wanted = floors(self._limits, state, now_us)
        if wanted != Floors(state.purge_floor_us, state.body_floor_us):
            await self._storage.move_floors(wanted.purge_us, wanted.body_us)
        before = self.rows_purged
        try:
            await self._delete()
        finally:
            rows = self.rows_purged - before
            if rows:
                log.info("retention deleted %d records", rows)
                self._on_purged(rows, wanted)

    async def _known_us(self) -> int | None:
        """Return a time that is known to have been, as kept or from the newest record; None:
        nothing says so yet.
        """
        kept = await self._storage.meta(CLOCK)
        if kept is not None:
            return int(kept)

        newest = await self._storage.read(RecordQuery(filter=Filter(kind="all"), limit=1))
        if newest.records:
            return newest.records[0].started_at_us

        return None

    async def _believed_us(self) -> int | None:
        """Return the time by which records may be deleted; None: no record confirms the clock."""
        if not self._trusted.is_known:
            known_us = await self._known_us()
            if known_us is None:
                return None
            self._trusted.resume(known_us)

        believed_us = self._trusted.now_us()
        was_ahead = self.clock_ahead_us > _REPORTED_US
        self.clock_ahead_us = self._trusted.ahead_us

        if self.clock_ahead_us > _REPORTED_US and not was_ahead:
            log.warning(
                "the clock is %.1f hours ahead of the newest record; retention believes it when "
                "it has held as long, or for a day",
                self.clock_ahead_us / HOUR_US,
            )

        if believed_us - self._kept_us > _KEPT_EVERY_US:
            self._kept_us = believed_us
            await self._storage.put_meta(CLOCK, str(believed_us), replace=True)
        return believed_us

    async def _finish_erasures(self) -> None:
        were_left = self.erasing
        self.erasing = await self._storage.erasing()
        if were_left and not self.erasing:
            log.info("nothing of what was erased is left in the store")

    async def _delete(self) -> None:
        looked_s = time.monotonic()
        while True:
            began_s = time.monotonic()
            if began_s - looked_s >= ROUND_S:  # what is deleted may take hours
                looked_s = began_s
                await self._look()
            purged = await self._storage.purge(SLICE_ROWS)
            took_s = time.monotonic() - began_s
            self.rows_purged += purged.rows
            if purged.is_done:
                return

            # As long as it took, so that batches have half the time of the write connection at
            # least.
            await asyncio.sleep(min(took_s, 1.0))


def _floor(now_us: int, age_us: int) -> int:
    if age_us:
        return (now_us - age_us) // HOUR_US * HOUR_US
    return 0
