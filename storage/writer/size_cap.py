"""The size cap, held at any moment: the oldest records are deleted in slices that are small against
it.

Strategy: every batch announces its size before it is committed. The store is measured again once
four times the bytes announced since the last measurement could have reached `HIGH`. Above `EARLY` a
task deletes the oldest records between batches (`Storage.trim`) until the size is at `LOW`. A batch
waits only if four times its size would take the store above its ceiling; it then deletes that much
itself. The ceiling is `HIGH`. For a store that is far larger because the cap was lowered, it is at
first the present size, and then slightly above the size that the task has reached.

Invariant: no batch makes the store larger than the cap or, if it was larger at first, than it was
then. More than nine tenths of the cap stay filled with the newest records.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from storage.base import Storage
from storage.errors import StorageUnavailable
from storage.record import now_us

log = logging.getLogger(__name__)

HIGH: Final = 15 / 16
"""Share of the cap that batches may fill; the rest is for one large batch, and for the journal."""
EARLY: Final = 0.93
"""Share of the cap above which the oldest records are deleted: early enough that batches rarely
wait.
"""
LOW: Final = 0.92
"""Share of the cap down to which records are deleted."""
BATCH_SHARE: Final = 64
"""Largest batch as a fraction of the cap (1/64), so that one more batch never passes it."""
MIN_BATCH_BYTES: Final = 256 * 1024
ROUND_S: Final = 60.0
"""Time between two reports of deletions, and between two measurements of an idle store."""
ROW_BYTES: Final = 1024
"""Upper bound of a row's size without its payload, all indexes included."""
_TIMES: Final = 4
"""Space that a batch may take, as a multiple of its size: SQLite keeps a long text twice, in pages
of its own.
"""
_RECLAIM_SHARE: Final = 32
"""Fraction of the cap (1/32) to free before freed space is made usable again."""
_FIRST_GUESS_BYTES: Final = 65536.0
"""Assumed bytes freed per row until measured, so that the first slices are small."""
_SLICE_SHARE: Final = 128
"""Largest slice as a fraction of the records (1/128): space is freed in lumps, so the effect of a
slice is a guess.
"""
_MAX_ROWS: Final = 400
"""Most rows of a slice; a store ends it earlier if a batch waits."""
_LEVEL_SHARE: Final = 8
"""Fraction of the cap (1/8) by which a store that shrinks towards a lower cap may exceed the size
already reached.
"""


@dataclass(slots=True)
class Trims:
    """Counts of records and bodies deleted because of the cap."""

    rows: int = 0
    bodies: int = 0
    """Upper bound of the records that lost their bodies and stayed."""


def batch_max_bytes(max_bytes: int, configured: int) -> int:
    """Return the largest batch allowed under a size cap; 0 means no cap."""
    if max_bytes:
        return min(configured, max(MIN_BATCH_BYTES, max_bytes // BATCH_SHARE))
    return configured


class SizeCap:
    """Keeps a store below a size. `run` is the task; batches await `make_room`."""

    def __init__(
        self,
        storage: Storage,
        max_bytes: int,
        on_deleted: Callable[[dict[str, object]], object] = lambda report: None,
    ) -> None:
        """Keep `storage` below `max_bytes`.

        Args:
            storage: Store to keep small; not closed.
            max_bytes: The cap; 0 for none.
            on_deleted: See the attribute.
        """
        self._storage = storage
        self._max_bytes = max_bytes
        self.on_deleted = on_deleted
        """Called now and then with a report of the deletions since the last call, and of the start
        of the oldest record that is left.
        """
        self._ceiling_bytes: float | None = None
        self._room_bytes = 0.0
        self._unmeasured_bytes = 0.0
        self._freed_bytes = 0
        self._most_rows = 1
        self._bytes_per_row = _FIRST_GUESS_BYTES
        self._unreported = Trims()
        self._reported_s = time.monotonic()
        self.reaches_back_us: int | None = None
        """Start of the oldest record that is left, when last measured."""
        self.used_bytes: int | None = None
        """Size of the store when last measured; None before."""
        self.looked_at_us = 0
        """Time of the last measurement, Unix µs."""
        self._is_exhausted = False
        self._wake = asyncio.Event()
        self.total = Trims()
        """Deletions since the start."""

    async def run(self) -> None:
        """Delete what `make_room` leaves over, and report it, until cancelled. An unavailable store
        is asked again.
        """
        try:
            while self._max_bytes:
                await self._round()
        finally:
            self.report()

    async def _round(self) -> None:
        try:
            await self.tidy()
        except StorageUnavailable as error:
            log.warning("the size cap waits for the store: %s", error)

        self._wake.clear()
        try:
            async with asyncio.timeout(ROUND_S):
                await self._wake.wait()
        except TimeoutError:
            pass

        self._report_when_due()

    async def make_room(self, entries: int, size_bytes: int) -> None:
        """Delete records before a batch is committed, if it would not fit.

        Args:
            entries: Number of entries of the batch.
            size_bytes: Size of its entries; 0 if unknown.

        Raises:
            StorageUnavailable: the store cannot be reached.
        """
        if not self._max_bytes or not entries:
            return
        self._unmeasured_bytes += size_bytes + entries * ROW_BYTES
        wanted = _TIMES * self._unmeasured_bytes
        if size_bytes and wanted < self._room_bytes:
            return

        used = await self._measure()
        if wanted > self._room_bytes:
            goal = max(LOW * self._max_bytes, used + self._room_bytes - wanted)
            while used > goal and (left := await self._trim(used, goal)) is not None:
                used = left

        if used > EARLY * self._max_bytes or self._freed_bytes > self._max_bytes // _RECLAIM_SHARE:
            self._wake.set()

    async def tidy(self) -> None:
        """Delete until the store is below the cap, in slices that leave batches half of the time."""
        used = await self._measure()
        goal = (LOW if used > EARLY * self._max_bytes else 1.0) * self._max_bytes
        while used > goal:
            began_s = time.monotonic()
            left = await self._trim(used, goal)
            if left is None:
                break

            used = left
            self._report_when_due()  # the loop may last for hours, if traffic adds as much as is deleted
            await asyncio.sleep(min(time.monotonic() - began_s, 1.0))

        if self._freed_bytes > self._max_bytes // _RECLAIM_SHARE:
            self._freed_bytes = 0
            await self._storage.reclaim()

    def report(self) -> None:
        """Report what was deleted since the last report, if anything was."""
        self._reported_s = time.monotonic()
        trims = self._unreported
        self._unreported = Trims()

        if trims.rows or trims.bodies:
            log.info(
                "the size cap deleted %d records, and the bodies of up to %d more",
                trims.rows,
                trims.bodies,
            )
            back_us = self.reaches_back_us
            report = {
                "reason": "size",
                "rows": trims.rows,
                "bodies": trims.bodies,
                "reachesBackToMs": None if back_us is None else back_us // 1000,
            }
            self.on_deleted(report)

    def _report_when_due(self) -> None:
        if (
            time.monotonic() - self._reported_s >= ROUND_S
        ):  # batches may wake the task many times a second
            self.report()

    async def _measure(self) -> int:
        before = self._unmeasured_bytes
        self._unmeasured_bytes = 0.0
        try:
            state = await self._storage.retention()
        except BaseException:
            self._unmeasured_bytes += before
            raise

        self._ceiling_bytes = self._ceiling(state.used_bytes)
        self._room_bytes = self._ceiling_bytes - state.used_bytes
        self._most_rows = max(1, (state.last_seq - state.purged_through_seq) // _SLICE_SHARE)
        self.reaches_back_us = state.reaches_back_us
        self.used_bytes = state.used_bytes
        self.looked_at_us = now_us()
        return state.used_bytes

    def _ceiling(self, used: int) -> float:
        """Return the size up to which batches may fill the store; it only ever falls."""
        before = used if self._ceiling_bytes is None else self._ceiling_bytes
        return max(HIGH * self._max_bytes, min(before, used + self._max_bytes / _LEVEL_SHARE))

    async def _trim(self, used: int, goal: float) -> int | None:
        """Delete one slice towards a goal, and measure again; None when nothing more may be
        deleted.
        """
        wanted = int((used - goal) / self._bytes_per_row) + 1
        trimmed = await self._storage.trim(min(wanted, self._most_rows, _MAX_ROWS))
        for trims in (self.total, self._unreported):
            trims.rows += trimmed.rows
            trims.bodies += trimmed.bodies
        if trimmed.is_done and not self._is_exhausted:
            log.error(
                "retention.max_bytes of %d is too small for the newest records alone",
                self._max_bytes,
            )

        self._is_exhausted = trimmed.is_done
        if trimmed.is_done:
            return None

        left = await self._measure()
        freed = max(0, used - left)
        self._freed_bytes += freed
        self._bytes_per_row = max(
            freed / (trimmed.rows + trimmed.bodies), self._bytes_per_row / 2, 1.0
        )
        return left
