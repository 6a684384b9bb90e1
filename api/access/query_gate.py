"""How many queries run at once, over all callers: a crowd of readers must not hold up the writer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from api.http.errors import Refused

MAX_QUERIES: Final = 4
"""Queries that run at once: the store has that many readers."""
MAX_WAIT_S: Final = 2.0
"""How long others wait for their turn before they are refused."""


class QueryGate:
    """Lets some queries run at once; the others wait a little, then are refused with 503."""

    def __init__(self, max_queries: int = MAX_QUERIES, max_wait_s: float = MAX_WAIT_S) -> None:
        self._turns = asyncio.Semaphore(max_queries)
        self._max_wait_s = max_wait_s

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn and hold it.

        Raises:
            Refused: 503 with `Retry-After`, there was none in time.
        """
        try:
            async with asyncio.timeout(self._max_wait_s):
                await self._turns.acquire()
        except TimeoutError:
            raise Refused(503, "too many queries are running, try again", headers={"Retry-After": "1"}) from None
        try:
            yield
        finally:
            self._turns.release()
