"""Builds the index of words after commits, at a pace that leaves the store and the interpreter to
others.

Large batches bring their part of the index, as far as it was ready in time. The rest is done here,
in steps of a few milliseconds on one of the store's own threads: records of small batches, and
merging cells into segments. While records wait for the store, the pause after a step is four times
as long as the step, so indexing takes a fifth of a core. Otherwise it is as long as the step, so a
large store without an index is read with half a core.

Searches read records that are not indexed yet one by one: they take longer and find the same.

Invariant: indexing always continues from the progress that the store keeps. An unavailable store is
asked again.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from storage.base import Storage
from storage.errors import StorageError
from storage.purge import TextIndex

log = logging.getLogger(__name__)

IDLE_S: Final = 5.0
"""Time between two checks for new work."""
AWAY_S: Final = 5.0
"""Pause after an error, and after another sidecar of the same database was quicker."""
DESCRIBED_EVERY_S: Final = 10.0
_BUSY_PAUSES: Final = 4
"""Length of a pause in steps while records wait for the store."""
_MAX_IDLE_PAUSE_S: Final = 0.25


@dataclass(slots=True, eq=False)
class TextIndexing:
    """Keeps the index of words up to date. `run` is the task."""

    storage: Storage
    """Store to index; not closed."""
    waiting_records: Callable[[], int] = lambda: 0
    """Returns the number of records on their way to the store."""
    monotonic: Callable[[], float] = field(kw_only=True, default=time.monotonic)
    """Clock that measures steps."""
    _described_s: float = field(default=0.0, init=False)
    state: TextIndex | None = field(default=None, init=False)
    """Progress and size of the index when last checked."""
    records: int = field(default=0, init=False)
    """Records indexed since the start."""
    errors: int = field(default=0, init=False)
    """Steps that failed since the start."""
    _reason: str = field(default="", init=False)

    async def run(self) -> None:
        """Index records until cancelled."""
        while True:
            rest_s = await self.step()
            await asyncio.sleep(rest_s)

    def describe(self) -> dict[str, object]:
        state = self.state
        return {
            "waiting_records": None if state is None else state.waiting,
            "size_bytes": None if state is None else state.size_bytes,
        }

    async def step(self) -> float:
        """Make one step; returns how long to rest, in seconds."""
        is_busy = self.waiting_records() > 0
        began_s = self.monotonic()
        try:
            step = await self.storage.index_text()
            self.records += step.records
            if (
                self.state is None
                or step.is_done
                or began_s - self._described_s > DESCRIBED_EVERY_S
            ):
                self._described_s = began_s
                self.state = await self.storage.text_index()
        except StorageError as error:
            self.errors += 1
            if str(error) != self._reason:
                self._reason = str(error)
                log.warning("the index of words waits for the store: %s", error)
            return AWAY_S

        self._reason = ""
        if step.is_lost:
            return AWAY_S
        if step.is_done:
            return IDLE_S

        return self._pause_s(self.monotonic() - began_s, is_busy=is_busy)

    def _pause_s(self, took_s: float, *, is_busy: bool) -> float:
        if is_busy or self.waiting_records():
            return min(_BUSY_PAUSES * took_s, AWAY_S)
        return min(took_s, _MAX_IDLE_PAUSE_S)
