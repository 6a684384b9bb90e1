"""Stores batches of any instance, in the slots of that instance.

Strategy: large batches are encoded in a thread. A batch whose outcome is unknown is settled before
the next one: records that turn out to be stored are not stored again.

Invariant: after an exception, none of the batch's records counts as stored. Passing the same
records again stores each once.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from storage.clickhouse.numbers import first_of
from storage.clickhouse.wire.link import refusing
from storage.clickhouse.writes.rows import rows_of
from storage.clickhouse.writes.slots import Slots
from storage.errors import StorageRejected
from storage.record import Batch, Position
from storage.relational.writes.doubts import Doubts

_LOOP_ENTRIES: Final = 100
"""Batches with more entries are encoded in a thread."""


class BatchStore:
    """Stores batches, one at a time."""

    def __init__(self, make_slots: Callable[[str], Slots]) -> None:
        """Make a store of batches that has not read anything yet; `make_slots` returns the slots of
        an instance.
        """
        self._make_slots = make_slots
        self._slots: dict[str, Slots] = {}
        self._doubts = Doubts()
        self._doubtful: Slots | None = None
        """Slots of the batch whose outcome is unknown."""

    async def store(self, batch: Batch) -> int:
        """Commit a batch and set `record.seq`; return the last `seq`, 0 without entries. See
        `Storage.commit`.
        """
        await self._settle()
        slots = self._of(batch.instance)
        entries = self._doubts.unsettled(batch.entries)
        fresh = Batch(batch.instance, entries, batch.positions, batch.retired)

        with refusing():
            if len(entries) > _LOOP_ENTRIES:
                rows = await asyncio.to_thread(rows_of, fresh)
            else:
                rows = rows_of(fresh)

        await slots.settle()
        self._doubts.note(entries)
        self._doubtful = slots

        try:
            seqs = await slots.fill(rows, batch.positions, batch.retired)
        except StorageRejected:
            self._doubtful = None
            self._doubts.clear()
            raise

        self._doubtful = None
        self._doubts.clear()
        self._doubts.forget(batch.entries)
        for seq, entry in zip(seqs, entries, strict=False):
            entry.record.seq = seq
        return max((entry.record.seq for entry in batch.entries), default=0)

    async def positions(self, instance: str) -> dict[bytes, Position]:
        """Return the committed ring positions of one sidecar, after waiting for inserts whose
        outcome is unknown.
        """
        await self._settle()
        return await self._of(instance).positions()

    async def keep(self) -> None:
        """Write ring positions again once they are a day old, so that their old partition can be
        dropped.
        """
        for slots in self._slots.values():
            await slots.keep()

    async def _settle(self) -> None:
        if self._doubtful is None:
            return
        seqs = await self._doubtful.settle()
        stored = zip(self._doubts.entries, seqs or (), strict=False)
        self._doubts.settle({entry.record.id: seq for entry, seq in stored})
        self._doubtful = None

    @property
    def newest_seq(self) -> int:
        """An upper bound of the numbers in the newest slots; 0 before the first."""
        newest_ms = max((slots.newest_ms for slots in self._slots.values()), default=0)
        if newest_ms:
            return first_of(newest_ms + 1) - 1
        return 0

    def _of(self, instance: str) -> Slots:
        slots = self._slots.get(instance)
        if slots is None:
            slots = self._slots[instance] = self._make_slots(instance)
        return slots
