"""How many queries read the store at once, in two lanes: searches and sums take a second, pages of
lists milliseconds.

Strategy: what a query asks decides which it is, before it runs. A page of records by conditions on
columns is short. All others are long, and fewer of these run at once than the store has readers, so
that short ones do not wait for them.

Invariant: those of a lane have their turns in the order in which they came.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from api.http.errors import Refused
from storage.base import READERS
from storage.query import Query, RecordQuery
from storage.search.expression import Between, Has, Is, leaf_field, leaves

MAX_LONG: Final = READERS - 2
"""Of the queries that run at once, how many may be long."""
MAX_WAIT_S: Final = 4.0
"""How long others wait for their turn before they are refused."""


def is_short(query: Query[Any]) -> bool:
    """Whether an index, or the rows alone, answer a query."""
    if not isinstance(query, RecordQuery):
        return False
    asked = leaves(query.filter.where)
    return all(
        isinstance(leaf, Is | Between | Has) and "." not in leaf_field(leaf) for leaf in asked
    )


class QueryGate:
    """Lets some queries run at once; the others wait a little, then are refused with 503."""

    def __init__(
        self,
        max_queries: int = READERS,
        max_wait_s: float = MAX_WAIT_S,
        *,
        max_long: int = MAX_LONG,
    ) -> None:
        self._turns = asyncio.Semaphore(max_queries)
        self._long_turns = asyncio.Semaphore(max_long)
        self._max_wait_s = max_wait_s

    @asynccontextmanager
    async def turn(self, *, is_long: bool = False) -> AsyncIterator[None]:
        """Wait for a turn and hold it.

        Raises:
            Refused: 503 with `Retry-After`, there was none in time.
        """
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(self._max_wait_s):
                    if is_long:
                        await held.enter_async_context(self._long_turns)
                    await held.enter_async_context(self._turns)
            except TimeoutError:
                what = "searches and sums" if is_long else "queries"
                raise Refused(
                    503, f"too many {what} are running, try again", headers={"Retry-After": "1"}
                ) from None

            yield
