"""Only so many queries run at once; short ones do not wait for long ones."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from api.access.query_gate import QueryGate, is_short
from api.http.errors import Refused
from storage.conversations import ConversationQuery
from storage.query import CountQuery, Filter, Query, RecordQuery, SummaryQuery, TopQuery
from storage.search.expression import (
    And,
    Between,
    Expression,
    Has,
    Is,
    Like,
    Not,
    Or,
    Substring,
    Text,
)
from storage.search.phrase import Phrase
from tests.support.cases import each_of


async def test_only_so_many_queries_run_at_once() -> None:
    """The others wait a little and are then sent away, with a time to come back; a turn that ends
    is given on.
    """
    gate = QueryGate(2, max_wait_s=0.02)
    async with gate.turn():
        async with gate.turn():
            with pytest.raises(Refused, match="too many queries are running") as caught:
                async with gate.turn():
                    raise AssertionError

        assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "1")
        async with gate.turn():
            pass
        async with asyncio.TaskGroup() as tasks:
            held = asyncio.Event()

            async def hold() -> None:
                async with gate.turn():
                    held.set()

            tasks.create_task(hold())
            await held.wait()


async def test_long_queries_leave_turns_for_short_ones() -> None:
    """One more of them is refused and says what runs; of those that were refused no turn is lost."""
    gate = QueryGate(3, max_wait_s=0.02, max_long=2)
    async with AsyncExitStack() as running:
        for _ in range(2):
            await running.enter_async_context(gate.turn(is_long=True))
        for _ in range(2):
            with pytest.raises(Refused, match="too many searches and sums are running"):
                async with gate.turn(is_long=True):
                    raise AssertionError

        async with gate.turn():
            with pytest.raises(Refused, match="too many queries are running"):
                async with gate.turn():
                    raise AssertionError

    async with AsyncExitStack() as running:
        for _ in range(3):
            await running.enter_async_context(gate.turn())
        with pytest.raises(Refused):
            async with gate.turn(is_long=True):
                raise AssertionError

    async with gate.turn(is_long=True), gate.turn(is_long=True), gate.turn():
        pass


WORD = Text(Phrase(("deadlock",)))
STATUS = Between("status", 500, 599)


def page(where: Expression | None) -> Query[Any]:
    """Ask for a page of records."""
    return RecordQuery(filter=Filter(where=where))


@each_of(
    "query",
    [
        page(None),
        page(STATUS),
        page(And((STATUS, Is("project", ("one",)), Not(Is("method", ("GET",)))))),
        page(Or((STATUS, Has("error_type")))),
    ],
)
def test_pages_by_columns_are_short(query: Query[Any]) -> None:
    """Whatever is asked of them, and however it is joined."""
    assert is_short(query)


@each_of(
    "query",
    [
        page(WORD),
        page(And((STATUS, WORD))),
        page(Not(WORD)),
        page(Substring("dead")),
        page(Like("path", ("", "items", ""))),
        page(Is("header.x-user", ("one",))),
        page(Has("body.user")),
        CountQuery(Filter()),
        SummaryQuery(Filter()),
        TopQuery(Filter(), "host"),
        ConversationQuery(),
    ],
)
def test_searches_and_sums_are_long(query: Query[Any]) -> None:
    """Those that look into texts, and those that add up."""
    assert not is_short(query)
