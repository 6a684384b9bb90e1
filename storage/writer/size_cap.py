"""The cap on size, held at any moment: the oldest records go in slices that are small against it.

Strategy: a batch says how large it is before it is committed. When four times what came since the
size was last measured could have reached `HIGH`, it is measured again. Above `EARLY` a task deletes
the oldest beside the batches (`Storage.trim`) until the size is at `LOW`. A batch waits only where
four times what it brings would take the store above its ceiling, and deletes so much itself. The
ceiling is `HIGH`; of a store that is far larger, because the cap was lowered, what it takes at
first, and then a little above what the task has left.

Invariant: no batch makes the store larger than the cap or, where it was larger when it was first
looked at, than it was then; of what the cap allows more than nine tenths stay, the newest records.
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
"""Share of the cap that batches may take it to: what is left is for one that is large, and for the
journal.
"""
EARLY: Final = 0.93
"""Share of the cap from which the oldest go: early enough that batches need not wait for it as a
rule.
"""
LOW: Final = 0.92
"""Share of the cap down to which they go."""
BATCH_SHARE: Final = 64
"""A batch is at most so small a part of the cap, that one more never passes it."""
MIN_BATCH_BYTES: Final = 256 * 1024
ROUND_S: Final = 60.0
"""How often what was deleted is reported, and the size looked at when nothing comes."""
ROW_BYTES: Final = 1024
"""What a row may take beside its payload, all indexes included, with room to spare."""
_TIMES: Final = 4
"""What a batch brings may take so much more than its size: SQLite keeps a long text twice, in pages
of its own.
"""
_RECLAIM_SHARE: Final = 32
"""Space is made usable again whenever so small a part of the cap was freed."""
_FIRST_GUESS_BYTES: Final = 65536.0
"""What a row may free, until it is known: the first slices are small."""
_SLICE_SHARE: Final = 128
"""A slice takes at most so small a part of the records: space comes free in lumps, so what it frees
is a guess.
"""
_MAX_ROWS: Final = 400
"""Of a slice, which a store ends before that when a batch waits."""
_LEVEL_SHARE: Final = 8
"""So small a part of the cap a store that is made smaller may be above what it was brought down to.
"""


@dataclass(slots=True)
class Trims:
    """What was deleted because of the cap."""

    rows: int = 0
    bodies: int = 0
    """Records that stayed without their bodies, at most."""


def batch_max_bytes(max_bytes: int, configured: int) -> int:
    """Bound a batch against the cap on size; 0 is no cap."""
    if max_bytes:
        return min(configured, max(MIN_BATCH_BYTES, max_bytes // BATCH_SHARE))
    return configured


class SizeCap:
    """Keeps a store below a size. `run` is the task beside the batches, `make_room` what they wait
    for.
    """

    def __init__(
        self,
        storage: Storage,
        max_bytes: int,
        on_trimmed: Callable[[Trims, int | None], None] = lambda trims, reaches_back_us: None,
    ) -> None:
        """Wire up.

        Args:
            storage: What is kept small; not closed.
            max_bytes: The cap; 0 for none.
            on_trimmed: See the attribute.
        """
        self._storage = storage
        self._max_bytes = max_bytes
        self.on_trimmed = on_trimmed
        """Called now and then with what was deleted since, and when the first record that is left
        started.
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
        """When the first record that is left started, as of the last look."""
        self.used_bytes: int | None = None
        """What the store took as of the last look; None before."""
        self.looked_at_us = 0
        """When that was, Unix µs."""
        self._is_exhausted = False
        self._wake = asyncio.Event()
        self.total = Trims()
        """What was deleted since the start."""

    async def run(self) -> None:
        """Delete what `make_room` leaves, and report it, until cancelled; a store that is away is
        asked again.
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
            log.warning("the cap on size waits for the store: %s", error)

        self._wake.clear()
        try:
            async with asyncio.timeout(ROUND_S):
                await self._wake.wait()
        except TimeoutError:
            pass

        self._report_when_due()

    async def make_room(self, entries: int, size_bytes: int) -> None:
        """Delete before a batch is committed, if need be.

        Args:
            entries: How many the batch has.
            size_bytes: Of its entries; 0 when it is not known.

        Raises:
            StorageUnavailable: the store is.
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
            self._report_when_due()  # traffic may bring as much as goes, for hours
            await asyncio.sleep(min(time.monotonic() - began_s, 1.0))

        if self._freed_bytes > self._max_bytes // _RECLAIM_SHARE:
            self._freed_bytes = 0
            await self._storage.reclaim()

    def report(self) -> None:
        """Report what was deleted since the last time, if anything was."""
        self._reported_s = time.monotonic()
        trims = self._unreported
        self._unreported = Trims()

        if trims.rows or trims.bodies:
            log.info(
                "the cap on size took %d records, and the bodies of up to %d more",
                trims.rows,
                trims.bodies,
            )
            self.on_trimmed(trims, self.reaches_back_us)

    def _report_when_due(self) -> None:
        if time.monotonic() - self._reported_s >= ROUND_S:  # batches may wake the task all the time
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
        """Decide what batches may take the store to; it falls, and does not rise again."""
        before = used if self._ceiling_bytes is None else self._ceiling_bytes
        return max(HIGH * self._max_bytes, min(before, used + self._max_bytes / _LEVEL_SHARE))

    async def _trim(self, used: int, goal: float) -> int | None:
        """Take one slice towards a goal, and measure again; None when nothing more may go."""
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
