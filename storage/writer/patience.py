"""How long an answer of the store is waited for: long while there is room for what comes meanwhile, then shortly.

A store that hangs looks like one that is slow. As long as the queue has room nothing is lost by waiting; when it is
full, only the spool makes room, and the spool gets its turn between two attempts.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from storage.errors import StorageUnavailable

ATTEMPT_S: Final = 15.0
"""An answer that does not come is given up after this; whether a commit happened is looked up."""
PRESSED_S: Final = 1.0
"""And after this when the queue is full: at 20 000 exchanges/s of 2 KiB the ring takes more than that."""


class Patience:
    """Bounds what is asked of the store, one question at a time."""

    def __init__(self, attempt_s: float | None = ATTEMPT_S, pressed_s: float = PRESSED_S) -> None:
        """Wait `attempt_s` at most, `pressed_s` under pressure; None: for ever, there is nowhere else to go."""
        self._attempt_s = attempt_s
        self._pressed_s = pressed_s
        self._running: asyncio.Timeout | None = None

    @asynccontextmanager
    async def bounded(self, *, is_pressed: bool) -> AsyncIterator[None]:
        """Ask within it.

        Raises:
            StorageUnavailable: no answer in time; what was asked was cancelled.
        """
        try:
            async with asyncio.timeout(self._attempt_s) as self._running:
                if is_pressed:
                    self.press()
                yield
        except TimeoutError as error:
            raise StorageUnavailable("the store did not answer in time") from error
        finally:
            self._running = None

    def press(self) -> None:
        """There is no more room: whoever is waiting now, waits a little longer only."""
        if self._running is None or self._attempt_s is None or self._running.expired():
            return
        ends_s = asyncio.get_running_loop().time() + self._pressed_s
        if (limit_s := self._running.when()) is not None and ends_s < limit_s:
            self._running.reschedule(ends_s)
