"""Only so many queries run at once; short ones do not wait for long ones."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import fields
from typing import Any

import pytest

from api.access.query_gate import QueryGate, is_short
from api.http.errors import Refused
from storage.conversations import ConversationQuery
from storage.errors import StorageUnavailable
from storage.query import (
    CountQuery,
    FacetQuery,
    Filter,
    HistogramQuery,
    Query,
    RecordQuery,
    SeriesQuery,
    StatsQuery,
    SummaryQuery,
    TopQuery,
)
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
from storage.tools import ToolFilter, ToolQuery, ToolStatsQuery, ToolValuesQuery
from tests.support.cases import each_of

WORD = Text(Phrase(("deadlock",)))
STATUS = Between("status", 500, 599)
PAGE = RecordQuery(filter=Filter(where=WORD))
ANSWERS = (
    RecordQuery,
    CountQuery,
    StatsQuery,
    FacetQuery,
    HistogramQuery,
    SummaryQuery,
    TopQuery,
    SeriesQuery,
    ConversationQuery,
    ToolQuery,
    ToolStatsQuery,
    ToolValuesQuery,
)
OF_TOOLS = (ToolQuery, ToolStatsQuery, ToolValuesQuery)


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


class Reading:
    """A store that answers when it is let."""

    def __init__(self) -> None:
        self.begun = 0
        self.is_open = asyncio.Event()

    async def answer(self, gate: QueryGate, query: Query[Any]) -> Any:
        """Ask in turn."""
        return await gate.answer(query, self.read)

    async def read(self, query: Query[Any]) -> Any:
        """Answer with how many had begun."""
        self.begun += 1
        number = self.begun
        await self.is_open.wait()
        if isinstance(query, CountQuery):
            raise StorageUnavailable("away")
        return [number]


async def settle() -> None:
    """Let others run until they wait."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_equal_questions_that_wait_are_answered_once() -> None:
    """Of those that run already no other caller gets the answer: it may lack what is stored by now."""
    gate = QueryGate(1)
    reading = Reading()
    equal = [SummaryQuery(Filter(where=Text(Phrase(("word",))))) for _ in range(4)]
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(reading.answer(gate, equal[0]))
        await settle()
        waiting = [tasks.create_task(reading.answer(gate, each)) for each in equal[1:]]
        other = tasks.create_task(reading.answer(gate, SummaryQuery(Filter())))
        await settle()
        assert reading.begun == 1
        reading.is_open.set()

    assert running.result() == [1]
    assert [each.result() for each in waiting] == [[2]] * 3
    assert other.result() == [3]


async def test_who_goes_takes_no_answer_from_others() -> None:
    """One of those that wait asks instead."""
    gate = QueryGate(1)
    reading = Reading()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(reading.answer(gate, SummaryQuery(Filter())))
        await settle()
        equal = [tasks.create_task(reading.answer(gate, PAGE)) for _ in range(4)]
        await settle()
        equal[2].cancel()
        equal[0].cancel()
        await settle()
        reading.is_open.set()

    assert [each.cancelled() for each in equal] == [True, False, True, False]
    assert equal[1].result() == equal[3].result() == [2]


async def test_all_who_ask_hear_what_went_wrong() -> None:
    """It is asked once, too; the next one asks anew."""
    gate = QueryGate(1)
    reading = Reading()
    reading.is_open.set()

    async def ask() -> None:
        with pytest.raises(StorageUnavailable):
            await reading.answer(gate, CountQuery(Filter()))

    async with asyncio.TaskGroup() as tasks, gate.turn():
        for _ in range(3):
            tasks.create_task(ask())
        await settle()
    assert reading.begun == 1
    await ask()
    assert reading.begun == 2


@each_of("query", ANSWERS)
def test_every_query_is_known_again(query: Any) -> None:
    """It is a value: equal ones have one hash."""
    needed = {"by": "host", "names": ("host",), "since_us": 0, "until_us": 9, "buckets": 2}
    names = {each.name for each in fields(query)}
    where = Or((Is("method", ("GET",)), Not(WORD), Like("path", ("", "a")), Substring("b")))
    filter: object = ToolFilter(tool_names=("a",)) if query in OF_TOOLS else Filter(where=where)
    given = {name: value for name, value in needed.items() if name in names} | {"filter": filter}
    assert len({query(**given), query(**given)}) == 1


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
        ConversationQuery(),
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
        ConversationQuery(filter=Filter(where=WORD)),
        ConversationQuery(sort="cost"),
    ],
)
def test_searches_and_sums_are_long(query: Query[Any]) -> None:
    """Those that look into texts, and those that add up."""
    assert not is_short(query)
