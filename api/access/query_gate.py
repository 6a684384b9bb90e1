"""Limit the queries that read the store at once, in two lanes: searches and sums, and pages of
lists.

Searches and sums take a second, pages milliseconds. Strategy: the query itself determines its lane.
A page of records or conversations, newest first and by conditions on columns, is short. All others
are long, and fewer of these run at once than the store has readers, so that short ones do not wait
for them. While a query waits for its turn, callers with an equal query wait for its answer.

Invariant: queries of a lane get their turns in order of arrival. An answer is never older than the
question of a caller who gets it. Callers must not change an answer: others may share it.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from api.http.errors import Refused
from storage.base import READERS
from storage.conversations import ConversationQuery
from storage.query import Answer, Query, RecordQuery
from storage.search.expression import Between, Has, Is, leaf_field, leaves

MAX_LONG: Final = min(READERS - 2, max(2, len(os.sched_getaffinity(0))))
"""Limit of long queries at once. More of them than processors would compete for CPU, and each has a
time budget of a second.
"""
MAX_WAIT_S: Final = 10.0
"""Time that a query waits for its turn before it is refused: twice as long as ten people take who
each ask for a second, two at a time.
"""


def is_short(query: Query[Any]) -> bool:
    """Return True if an index, or the rows alone, can answer a query."""
    is_list = isinstance(query, RecordQuery) or (
        isinstance(query, ConversationQuery) and not query.is_of_all
    )
    if not is_list:
        return False
    asked = leaves(query.filter.where)
    return all(
        isinstance(leaf, Is | Between | Has) and "." not in leaf_field(leaf) for leaf in asked
    )


class QueryGate:
    """Lets some queries run at once. Others wait a little, then are refused with 503."""

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
        self._asked: dict[Query[Any], asyncio.Future[Any]] = {}
        """Waiting queries → their future answers."""

    async def answer(
        self, query: Query[Answer], read: Callable[[Query[Answer]], Awaitable[Answer]]
    ) -> Answer:
        """Read the answer of a query in its turn, or share that of an equal query that is waiting.

        Raises:
            Refused: as `turn` does.
        """
        while (asked := self._asked.get(query)) is not None:
            await asyncio.wait((asked,))
            if not asked.cancelled():
                found: Answer = asked.result()
                return found

        asked = self._asked[query] = asyncio.get_running_loop().create_future()
        try:
            async with self.turn(is_long=not is_short(query)):
                # Callers that arrive from now on expect records stored by then.
                self._forget(query, asked)
                found = await read(query)
        except Exception as error:
            asked.set_exception(error)
            asked.exception()  # It is raised here, even if no other caller waits for it.
            raise
        else:
            asked.set_result(found)
            return found
        finally:
            self._forget(query, asked)
            asked.cancel()  # If this caller has gone, one of the waiting callers reads instead.

    def _forget(self, query: Query[Any], asked: asyncio.Future[Any]) -> None:
        if self._asked.get(query) is asked:
            del self._asked[query]

    @asynccontextmanager
    async def turn(self, *, is_long: bool = False) -> AsyncIterator[None]:
        """Wait for a turn and hold it.

        Raises:
            Refused: 503 with `Retry-After`, if no turn became free in time.
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
