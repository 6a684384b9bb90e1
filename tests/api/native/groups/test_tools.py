"""Calls of MCP tools by tool, over HTTP."""

import tracemalloc

import pytest

from api.native.groups import top
from storage.query import Filter, Scope
from storage.record import Entry
from storage.tools import ToolPage, ToolQuery
from tests.api.conftest import Client, World, ask
from tests.api.samples import START_US, make_record, make_tool_call
from tests.support.memory_store import MemoryStorage

SECOND_US = 1_000_000


async def fill(world: World) -> None:
    """Store nine calls of `add`, one a second, of which the fifth failed, and one of `search`."""
    calls = [
        make_tool_call(
            n, started_at_us=START_US + n * SECOND_US, latency_us=(n + 1) * 1000, key_id="k1"
        )
        for n in range(9)
    ]
    calls[4].status = "error"
    calls.append(make_tool_call(9, tool_name="search", latency_us=None, project="proj_b"))
    entries = [Entry(make_record(n), tool_calls=[call]) for n, call in enumerate(calls)]
    await world.store(*entries)


async def test_calls_are_counted_by_tool(client: Client, world: World) -> None:
    """Those of each, what failed, how long they took as far as it is known, and what they cost."""
    await fill(world)
    found = await ask(client, "/api/top?by=tool")
    assert (found["by"], found["seen"], found["values"], found["complete"]) == ("tool", 10, 2, True)
    add, search = found["rows"]
    assert (add["value"], add["state"], add["exchanges"], add["share"]) == ("add", "known", 9, 0.9)
    assert (add["client_errors"], add["server_errors"], add["cost_usd"]) == (0, 1, 2.25)
    assert add["duration_ms"] == {"p50": 5.0, "p95": 9.0, "p99": 9.0, "estimated": False}
    assert (search["value"], search["exchanges"], search["duration_ms"]["p50"]) == (
        "search",
        1,
        None,
    )


async def test_a_range_of_time_ends_before_until(client: Client, world: World) -> None:
    """As of requests, although a filter of tool calls includes its end; tools and keys restrict,
    too.
    """
    await fill(world)
    found = await ask(
        client, "/api/top?by=tool&since=2024-06-12T14:07:15Z&until=2024-06-12T14:07:18Z"
    )
    assert [(row["value"], row["exchanges"]) for row in found["rows"]] == [("add", 3)]
    assert [
        row["value"] for row in (await ask(client, "/api/top?by=tool&query=tool:search"))["rows"]
    ] == ["search"]
    assert [row["value"] for row in (await ask(client, "/api/top?by=tool&key=k1"))["rows"]] == [
        "add"
    ]


async def test_the_newest_are_counted_where_there_are_more(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page, as many as one answer counts; then it says that these were not all."""
    await fill(world)
    monkeypatch.setattr(top, "PAGE_CALLS", 3)
    whole = await ask(client, "/api/top?by=tool")
    assert (whole["seen"], whole["complete"]) == (10, True)
    monkeypatch.setattr(top, "MAX_CALLS", 6)
    part = await ask(client, "/api/top?by=tool")
    assert (part["seen"], part["complete"]) == (6, False)
    assert [(row["value"], row["server_errors"]) for row in part["rows"]] == [("add", 1)]


async def test_a_filter_that_tool_calls_do_not_know_is_refused(
    client: Client, world: World
) -> None:
    """Rather than left out."""
    await fill(world)
    found = await ask(client, "/api/top?by=tool&status=5xx", 400)
    assert "since, until, key and tool" in found["detail"]


async def test_a_scope_sees_its_own_calls(client: Client, world: World) -> None:
    """Of other projects neither calls nor names of tools."""
    await fill(world)
    reader = world.admit("reader", Scope(projects=("proj_b",)))
    found = await ask(client, "/api/top?by=tool", 200, reader)
    assert [row["value"] for row in found["rows"]] == ["search"]


class Endless(MemoryStorage):
    """A store with calls without end, each with as much text as is kept."""

    async def tool_calls(self, query: ToolQuery) -> ToolPage:
        """Answer a `ToolQuery`."""
        calls = [make_tool_call(n) for n in range(query.offset, query.offset + query.limit)]
        for call in calls:
            call.result = bytes(64 * 1024)
        return ToolPage(calls, complete=True)


async def test_what_calls_gave_is_not_kept_until_all_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is only measured: a page of calls is in memory, not thousands."""
    monkeypatch.setattr(top, "PAGE_CALLS", 10)
    monkeypatch.setattr(top, "MAX_CALLS", 500)
    tracemalloc.start()

    try:
        found = await top.top_tools(Endless(), Filter())
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert [(row.exchanges, row.response_bytes) for row in found.rows] == [(500, 500 * 64 * 1024)]
    assert most_bytes < 100 * 64 * 1024
