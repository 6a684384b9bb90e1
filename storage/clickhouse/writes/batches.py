"""Batches of any instance: written as rows, on a thread where they are many, and stored in the slots of that instance.

Invariant: after an exception the positions tell whether the batch is stored.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from storage.clickhouse.numbers import first_of
from storage.clickhouse.wire.link import refusing
from storage.clickhouse.writes.rows import rows_of
from storage.clickhouse.writes.slots import Slots
from storage.record import Batch, Position

_LOOP_ENTRIES: Final = 100
"""A batch with more is written on a thread."""


class BatchStore:
    """Stores batches, one at a time."""

    def __init__(self, make_slots: Callable[[str], Slots]) -> None:
        """Make one that has not seen the store yet; `make_slots` makes those of an instance."""
        self._make_slots = make_slots
        self._slots: dict[str, Slots] = {}

    async def store(self, batch: Batch) -> int:
        """Commit a batch and set `record.seq`; returns the last of them, 0 without. See `Storage.commit`."""
        with refusing():
            rows = await asyncio.to_thread(rows_of, batch) if len(batch.entries) > _LOOP_ENTRIES else rows_of(batch)
        seqs = await self._of(batch.instance).fill(rows, batch.positions, batch.retired)
        for seq, entry in zip(seqs, batch.entries, strict=False):
            entry.record.seq = seq
        return max((entry.record.seq for entry in batch.entries), default=0)

    async def positions(self, instance: str) -> dict[bytes, Position]:
        """Read the positions of one sidecar, when no commit can change them that was sent before."""
        return await self._of(instance).positions()

    async def keep(self) -> None:
        """Write positions anew that are a day old."""
        for slots in self._slots.values():
            await slots.keep()

    @property
    def newest_seq(self) -> int:
        """A number that no newest slot passes; 0 before the first one."""
        newest_ms = max((slots.newest_ms for slots in self._slots.values()), default=0)
        return first_of(newest_ms + 1) - 1 if newest_ms else 0

    def _of(self, instance: str) -> Slots:
        slots = self._slots.get(instance)
        if slots is None:
            slots = self._slots[instance] = self._make_slots(instance)
        return slots
