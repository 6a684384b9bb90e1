"""Makes the cells of a batch in a thread, for which the batch waits a limited time.

Strategy: the thread makes one cell after the other. When the time is over, the batch takes the
cells that are ready, and the thread ends after its current cell: it cannot be stopped within. No
other begins before. So a content that takes seconds takes them of one thread, and holds one batch
in memory.

Invariant: cells that are not made here are left to the indexer, which reads the store.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from typing import Final

from storage.relational.reads.text_index.cells import Cell

log = logging.getLogger(__name__)

LIMIT_S: Final = 2.0
"""How long a batch waits for its cells: those of 8 MiB of JSON take 0.2 s of an idle core."""
_WARN_EVERY_S: Final = 60.0


class CellMaking:
    """Makes the cells of one batch at a time."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        """Let a batch wait `limit_s` at most."""
        self._limit_s = limit_s
        self._running: asyncio.Future[None] | None = None
        self._warned_s = -_WARN_EVERY_S

    async def make(self, cells: Iterator[Cell]) -> list[Cell]:
        """Make cells in a thread by drawing from an iterator; return those that are ready within
        the time limit.
        """
        made: list[Cell] = []
        is_over = threading.Event()

        def draw() -> None:
            for cell in cells:
                made.append(cell)
                if is_over.is_set():
                    return

        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().run_in_executor(None, draw)
            self._running.add_done_callback(_log_failure)
            try:
                await asyncio.wait({self._running}, timeout=self._limit_s)
            finally:
                is_over.set()

        if not self._running.done():
            self._warn()
        return list(made)

    def _warn(self) -> None:
        """Warn that batches are stored without their cells, once a minute."""
        now_s = time.monotonic()
        if now_s - self._warned_s < _WARN_EVERY_S:
            return

        self._warned_s = now_s
        log.warning(
            "the index of words takes longer than a batch waits for it: it is made behind the "
            "commits, and until then searches are slower"
        )


def _log_failure(running: asyncio.Future[None]) -> None:
    if running.cancelled():
        error = None
    else:
        error = running.exception()
    if error is not None:
        log.error("the words of a batch cannot be indexed: %r", error, exc_info=error)
