"""How many queries read the store at once, in two lanes: searches and sums take a second, pages of
lists milliseconds.

Strategy: what a query asks decides which it is, before it runs. A page of records or conversations,
the newest first and by conditions on columns, is short. All others are long, and fewer of these run
at once than the store has readers, so that short ones do not wait for them. While a query waits for
its turn, those who ask the same wait for its answer.

Invariant: those of a lane have their turns in the order in which they came. An answer is no older
than the question of each caller who gets it. No caller changes an answer: others may have it, too.
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
"""Of the queries that run at once, how many may be long. More of them than processors would take
each other's time, of which each has a second.
"""
MAX_WAIT_S: Final = 4.0
"""How long others wait for their turn before they are refused."""


def is_short(query: Query[Any]) -> bool:
    """Whether an index, or the rows alone, answer a query."""
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
        self._asked: dict[Query[Any], asyncio.Future[Any]] = {}
        """Queries that wait for their turn → their answers."""

    async def answer(
        self, query: Query[Answer], read: Callable[[Query[Answer]], Awaitable[Answer]]
    ) -> Answer:
        """Read the answer of a query in its turn, or get that of an equal one which waits for its
        turn.

        Raises:
            Refused: as of `turn`.
        """
        while (asked := self._asked.get(query)) is not None:
            await asyncio.wait((asked,))
            if not asked.cancelled():
                found: Answer = asked.result()
                return found

        asked = self._asked[query] = asyncio.get_running_loop().create_future()
        try:
            async with self.turn(is_long=not is_short(query)):
                # Those who ask from now on want to see what is stored by then.
                self._forget(query, asked)
                found = await read(query)
        except Exception as error:
            asked.set_exception(error)
            asked.exception()  # It is raised here, whether anybody else waits for it or not.
            raise
        else:
            asked.set_result(found)
            return found
        finally:
            self._forget(query, asked)
            asked.cancel()  # If this caller has gone: one of those who wait asks instead.

    def _forget(self, query: Query[Any], asked: asyncio.Future[Any]) -> None:
        if self._asked.get(query) is asked:
            del self._asked[query]

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
