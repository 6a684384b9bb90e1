"""Makes the index of words behind the commits, at a pace that leaves the store and the interpreter to others.

Large batches bring their part of the index with them. What is left, small batches and the joining of what is there, is
done here in steps of some milliseconds on one of the store's own threads. While records wait for the store, the pause
after a step is four times as long as the step, which is a fifth of a core; while none do, as long as the step, so that
a large store that was made without the index is read with half of one.

What is not indexed meanwhile is walked by searches: they take longer, and find the same. Where the index is whole,
records are added up, for stores whose sums do not come with them, at the same pace.

Invariant: whatever happens, the index goes on from what the store says. A store that is away is asked again.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from storage.base import Storage
from storage.errors import StorageError
from storage.purge import TextIndex

log = logging.getLogger(__name__)

IDLE_S: Final = 5.0
"""How often it is looked whether there is something to do."""
AWAY_S: Final = 5.0
"""Pause after an error, and after somebody else was quicker: another sidecar of the same database makes the index."""
DESCRIBED_EVERY_S: Final = 10.0
_BUSY_PAUSES: Final = 4
"""How many times as long as a step its pause is beside traffic."""
_MAX_IDLE_PAUSE_S: Final = 0.25


class TextIndexing:
    """Keeps the index of words. `run` is the task."""

    def __init__(
        self,
        storage: Storage,
        waiting_records: Callable[[], int] = lambda: 0,
        *,
        is_wanted: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Wire up.

        Args:
            storage: What is indexed; not closed.
            waiting_records: Tells how many records are on their way to the store.
            is_wanted: Without it the index is dropped.
            monotonic: Measures steps.
        """
        self._storage = storage
        self._waiting_records = waiting_records
        self._is_wanted = is_wanted
        self._monotonic = monotonic
        self._described_s = 0.0
        self.state: TextIndex | None = None
        """How far it has come, as of the last look."""
        self.records = 0
        """Records indexed since the start."""
        self.summed = 0
        """Records added up since the start."""
        self.errors = 0
        """Steps that failed since the start."""
        self._reason = ""

    async def run(self) -> None:
        """Make the index, until cancelled."""
        while True:
            rest_s = await self.step()
            await asyncio.sleep(rest_s)

    def describe(self) -> dict[str, object]:
        state = self.state
        return {
            "enabled": self._is_wanted,
            "waiting_records": None if state is None or not self._is_wanted else state.waiting,
            "size_bytes": None if state is None else state.size_bytes,
        }

    async def step(self) -> float:
        """Make one step; returns how long to rest, in seconds."""
        is_busy = self._waiting_records() > 0
        began_s, what = self._monotonic(), "the index of words"
        try:
            step = await (self._storage.index_text() if self._is_wanted else self._storage.drop_text_index())
            self.records += step.records
            if self.state is None or step.is_done or began_s - self._described_s > DESCRIBED_EVERY_S:
                self._described_s = began_s
                self.state = await self._storage.text_index()
            is_done, what = step.is_done, "adding up"
            if is_done:
                sums = await self._storage.add_sums()
                self.summed += sums.records
                is_done = sums.is_done
        except StorageError as error:
            self.errors += 1
            if str(error) != self._reason:
                self._reason = str(error)
                log.warning("%s waits for the store: %s", what, error)
            return AWAY_S
        self._reason = ""
        if step.is_lost:
            return AWAY_S
        return IDLE_S if is_done else self._pause_s(self._monotonic() - began_s, is_busy=is_busy)

    def _pause_s(self, took_s: float, *, is_busy: bool) -> float:
        if is_busy or self._waiting_records():
            return min(_BUSY_PAUSES * took_s, AWAY_S)
        return min(took_s, _MAX_IDLE_PAUSE_S)
