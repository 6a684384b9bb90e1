"""Retention by age: records beyond the limit become invisible at once and are deleted in slices.

Strategy: the age limit becomes a floor of whole hours. The store keeps it, and readers see nothing
below it. Deletion follows in slices between the writer's batches, and may lag unnoticed. After a
slice it rests as long as the slice took, and is still faster than ingest: SQLite deletes 15 900
rows per second of ten million while it stores 2 000 records per second, 6 900 of a million while it
stores 5 000 on a busy machine (bench/README.md). The size cap is in `size_cap.py`.

Age is measured by a clock that neither the records (`trusted_clock.py`) nor the clock of a server
contradict.

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
"""Time between two checks of age; floors are whole hours."""
CLOCK: Final = "retention_clock_us"
"""Name under which the store keeps the time believed last."""
SLICE_ROWS: Final = 2000
"""Rows of a slice of deletion. A batch may have to wait for it, about 50 ms; SQLite ends its slices
much earlier.
"""
_KEPT_EVERY_US: Final = 600_000_000
_REPORTED_US: Final = HOUR_US
"""A clock that is ahead by more than this is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Maximum age of records and of bodies, µs; 0 is unlimited."""

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
    """Oldest start of visible rows, and of visible bodies: Unix µs, whole hours."""

    purge_us: int
    body_us: int


def floors(limits: Limits, state: RetentionState, now_us: int) -> Floors:
    """Return the floors for the limits; they are never below the present ones."""
    purge_us = max(_floor(now_us, limits.max_age_us), state.purge_floor_us)
    body_us = max(_floor(now_us, limits.body_max_age_us), state.body_floor_us)
    return Floors(purge_us, max(purge_us, body_us))


class Retention:
    """A task that keeps a store within its age limits."""

    def __init__(
        self,
        storage: Storage,
        limits: Limits,
        on_deleted: Callable[[dict[str, object]], object] = lambda report: None,
        *,
        clock_us: Callable[[], int] = now_us,
        trusted: TrustedClock | None = None,
    ) -> None:
        """Keep a store within limits; the store is not closed.

        `on_deleted` gets a report of the rows deleted and of the floors, when the round or the task
        ends.
        `trusted` decides how far the wall clock is believed.
        """
        self._storage = storage
        self._limits = limits
        self._on_deleted = on_deleted
        self._clock_us = clock_us
        self._trusted = trusted or TrustedClock(clock_us)
        self._kept_us = 0
        self.lag_s = 0.0
        """How far deletion lags behind the floor, when last checked."""
        self.rows_purged = 0
        """Rows deleted since the start."""
        self.erasing = 0
        """Number of erased records still on the disk when last checked."""
        self.looked_at_us: int | None = None
        """Time of the last check, Unix µs."""
        self.state: RetentionState | None = None
        """The store's state of retention at the last check."""
        self.clock_ahead_us = 0
        """How far the wall clock was ahead of the believed time at the last check."""

    async def run(self) -> None:
        """Check age every minute, until cancelled. An unavailable store is asked again the next
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
        # Of several sidecars that share a store, one with a clock ahead would delete the others'
        # records, so the server's clock is used.
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
                "the store's retention floor is in the future, "
                "set by a clock that was ahead: it is lowered"
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
        """Raise the floors to the present limits, and delete everything below them."""
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
                report = {
                    "reason": "age",
                    "rows": rows,
                    "purgedBeforeMs": wanted.purge_us // 1000,
                    "bodiesBeforeMs": wanted.body_us // 1000,
                }
                self._on_deleted(report)

    async def _known_us(self) -> int | None:
        """Return a past time: the stored one, or the time of the newest record; None without
        either.
        """
        kept = await self._storage.meta(CLOCK)
        if kept is not None:
            return int(kept)

        newest = await self._storage.read(RecordQuery(filter=Filter(kind="all"), limit=1))
        if newest.records:
            return newest.records[0].started_at_us

        return None

    async def _believed_us(self) -> int | None:
        """Return the time by which records may be deleted; None if no record confirms the clock."""
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
                "the clock is %.1f hours ahead of the newest record; retention believes it once "
                "it has run for as long, at most a day",
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
            log.info("all erased records have been deleted from the store")

    async def _delete(self) -> None:
        looked_s = time.monotonic()
        while True:
            began_s = time.monotonic()
            if began_s - looked_s >= ROUND_S:  # a deletion may take hours
                looked_s = began_s
                await self._look()
            purged = await self._storage.purge(SLICE_ROWS)
            took_s = time.monotonic() - began_s
            self.rows_purged += purged.rows
            if purged.is_done:
                return

            # Rest as long as the slice took, so that batches have at least half the time of the
            # write connection.
            await asyncio.sleep(min(took_s, 1.0))


def _floor(now_us: int, age_us: int) -> int:
    if age_us:
        return (now_us - age_us) // HOUR_US * HOUR_US
    return 0
