"""Makes the cells of a batch in a thread, which a batch waits for no longer than a limit.

Strategy: a thread makes one cell after the other. A batch takes those that are there when the time
is over, and the thread ends behind the cell that it is at: it cannot be stopped within. Until it
has ended no other begins, so a content that takes seconds takes them of one thread, and holds one
batch in memory.

Invariant: what is not made here is left to the indexer, which reads it from the store.
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
"""How long a batch waits for its cells: those of 8 MiB of JSON take 0.2 s of a core, which others
may want, too.
"""
_TOLD_EVERY_S: Final = 60.0


class CellMaking:
    """Makes the cells of one batch at a time."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        """Let a batch wait `limit_s` at most."""
        self._limit_s = limit_s
        self._running: asyncio.Future[None] | None = None
        self._told_s = -_TOLD_EVERY_S

    async def make(self, cells: Iterator[Cell]) -> list[Cell]:
        """Draw cells from an iterator in a thread; return the first ones, as many as are ready in
        time.
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
            self._tell()
        return list(made)

    def _tell(self) -> None:
        """Say that batches do without their cells, now and then."""
        now_s = time.monotonic()
        if now_s - self._told_s >= _TOLD_EVERY_S:
            self._told_s = now_s
            log.warning(
                "the index of words takes longer than a batch waits for it: it is made behind the "
                "commits, "
                "and until then searches are slower"
            )


def _log_failure(running: asyncio.Future[None]) -> None:
    error = None if running.cancelled() else running.exception()
    if error is not None:
        log.error("the words of a batch cannot be indexed: %r", error, exc_info=error)
