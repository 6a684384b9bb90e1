"""Making the index of words behind the commits, at a pace that leaves the store and the interpreter to others.

Strategy: a step is some milliseconds of work on one of the store's own threads. After each comes a pause: as long as
the step took where little waits, shorter the more does, so that the index keeps up with what is committed, and takes
half of a core when it has a large store to read that was made without it.

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

IDLE_S: Final = 1.0
"""How often it is looked whether there is something to do."""
AWAY_S: Final = 5.0
"""Pause after an error, and after somebody else was quicker: another sidecar of the same database makes the index."""
DESCRIBED_EVERY_S: Final = 10.0
_MAX_PAUSE_S: Final = 0.25


class TextIndexing:
    """Keeps the index of words. `run` is the task."""

    def __init__(
        self, storage: Storage, *, is_wanted: bool = True, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Wire up; the store is not closed. An index that is not wanted is dropped."""
        self._storage = storage
        self._is_wanted = is_wanted
        self._monotonic = monotonic
        self._described_s = 0.0
        self.state: TextIndex | None = None
        """How far it has come, as of the last look."""
        self.records = 0
        """Records indexed since the start."""
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
        """Make one step; returns how long to rest after it, in seconds."""
        began_s = self._monotonic()
        try:
            step = await (self._storage.index_text() if self._is_wanted else self._storage.drop_text_index())
            self.records += step.records
            if self.state is None or step.is_done or began_s - self._described_s > DESCRIBED_EVERY_S:
                self._described_s = began_s
                self.state = await self._storage.text_index()
        except StorageError as error:
            self.errors += 1
            if str(error) != self._reason:
                self._reason = str(error)
                log.warning("the index of words waits for the store: %s", error)
            return AWAY_S
        self._reason = ""
        if step.is_lost:
            return AWAY_S
        return IDLE_S if step.is_done else min(self._monotonic() - began_s, _MAX_PAUSE_S)
