"""The official MCP client and server with sidelog between them, in every era: nothing changes, and
the log is true.
"""

import asyncio
import json
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

from tests.support.mcp_client import CITY, CLIENT_NAME, MODERN, Talk, Told, talking
from tests.support.mcp_server import SERVER_NAME, Signals, application, serving
from tests.support.sidelog import Sidelog, eventually

ERRORS = {-32603: "internal_error", -32050: "server_error", -32602: "invalid_params"}


class World(NamedTuple):
    """The server, asked directly and through sidelog."""

    server: str
    sidelog: Sidelog
    signals: Signals


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Start both."""
    data = tmp_path_factory.mktemp("mcp") / "data"
    signals = Signals()
    with serving(application(signals)) as server, Sidelog(data, server) as sidelog:
        yield World(server, sidelog, signals)


def rows_of(sidelog: Sidelog, run: str, count: int) -> list[dict[str, Any]]:
    """The finished calls of one run, oldest first, once there are so many."""

    query = urllib.parse.urlencode(
        {"llm_request_ids": run, "order": "asc", "limit": 100, "status": "success,error"}
    )

    def find() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = sidelog.api(f"/api/mcp-logs?{query}")["logs"]
        return rows if len(rows) >= count else []

    rows = eventually(find)
    assert len(rows) == count, rows
    return rows


class Era(NamedTuple):
    """A transport in a revision."""

    mode: str
    path: str
    version: str
    transports: set[str]
    """How answers may come, as rows say it."""
    is_plain: bool = False
    """Answers are JSON: nothing comes before them."""

    @property
    def is_modern(self) -> bool:
        """Whether it has no sessions."""
        return self.version == MODERN


ERAS = {
    "sessions": Era("legacy", "/mcp", "2025-11-25", {"sse"}),
    "sessions-json": Era("legacy", "/plain/mcp", "2025-11-25", {"http"}, is_plain=True),
    "stateless": Era("auto", "/mcp", MODERN, {"http", "sse"}),
    "stateless-json": Era(MODERN, "/plain/mcp", MODERN, {"http"}, is_plain=True),
    "two-streams": Era("legacy", "/sse", "2025-11-25", {"other_stream"}),
}


async def talk_through(talk: Talk, era: Era, signals: Signals) -> None:
    """Call every tool."""
    listed = await talk.client.list_tools()
    assert {"add", "fail"} < {tool.name for tool in listed.tools}
    await talk.call("add", {"a": 1, "b": 2})
    await talk.call("fail", {"reason": "the door is shut"})
    await talk.call("unknown", {"text": "grün"})
    await talk.call("add", {"a": "one"})
    await talk.call("refuse", {"code": -32603})
    await talk.call("refuse", {"code": -32050})
    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(talk.call("add", {"a": number, "b": 10}), name=f"add {number}")
    if not era.is_plain:
        await with_progress(talk, signals)
        await cancelled(talk)
        await talk.call("greet")

    if not era.is_modern:
        await talk.call("announce")
        async with asyncio.timeout(60):
            await talk.changed.wait()


async def with_progress(talk: Talk, signals: Signals) -> None:
    """Call a tool that only goes on when its first step has been heard of here."""

    async def hear(done: float, total: float | None, message: str | None) -> None:
        talk.progress.append((done, total, message))
        if done == 1:
            signals.go()

    await talk.call("report", {"steps": 3}, progress_callback=hear)


async def cancelled(talk: Talk) -> None:
    """Call a tool and leave it once it has begun."""
    begun = asyncio.Event()

    async def hear(*_: object) -> None:
        begun.set()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(talk.call("hang", progress_callback=hear), name="hang")
        await begun.wait()
        task.cancel()


def sorted_calls(told: list[Told]) -> list[Told]:
    """Calls in an order of their own: parallel ones have none."""
    return sorted(told, key=lambda one: (one.tool, json.dumps(one.arguments)))


def shown(row: dict[str, Any]) -> Told:
    """What a row says the client was told: a result, or an error of the protocol."""
    details = row.get("error_details", {}).get("error", {})
    answer = row["result"] and {
        "content": row["result"]["content"],
        "isError": row["result"].get("isError", False),
    }
    if answer is None and "code" in details and details["type"] != "cancelled":
        answer = {"code": int(details["code"]), "message": details["message"]}
    return Told(row["tool_name"], row["arguments"], answer)


def heard(told: Told) -> Told:
    """The same out of what the client was told."""
    if told.answer is None or "code" in told.answer:
        return told
    return told._replace(
        answer={"content": told.answer["content"], "isError": told.answer["isError"]}
    )


def check_outcome(row: dict[str, Any], told: Told, era: Era) -> None:
    """Status and kind of failure follow from what the client was told."""
    error = row.get("error_details", {}).get("error")
    match told.answer:
        case None:
            assert (row["status"], error["type"]) == (
                "error",
                "client_closed" if era.is_modern else "cancelled",
            )
        case {"code": code}:
            assert (row["status"], error["type"]) == ("error", ERRORS[code])
        case {"isError": True, "content": content}:
            assert (row["status"], error["type"], error["message"]) == (
                "error",
                "tool_error",
                content[0]["text"],
            )
        case _:
            assert (row["status"], error) == ("success", None)


def check_metadata(row: dict[str, Any], era: Era) -> None:
    """Revision, client, server, session and way are named."""
    metadata = row["metadata"]
    assert metadata["client"] == CLIENT_NAME
    assert ("session" in metadata) != era.is_modern
    assert row["latency"] > 0
    if row["tool_name"] == "hang" and era.path == "/sse":
        return  # it ends before the stream does that names server and revision

    assert (row["server_label"], metadata["protocol_version"]) == (SERVER_NAME, era.version)
    if row["tool_name"] != "hang":
        assert metadata["transport"] in era.transports


async def talk_twice(world: World, era: Era, run: str) -> tuple[Talk, Talk]:
    """Have the same conversation directly and through sidelog."""
    talks: list[Talk] = []
    for url in (world.server, world.sidelog.url):
        stopped = len(world.signals.cancelled)
        async with talking(url + era.path, era.mode, run) as talk:
            await talk_through(talk, era, world.signals)
            talks.append(talk)
            if not era.is_plain:
                await asyncio.to_thread(eventually, lambda: len(world.signals.cancelled) > stopped)  # noqa: B023 — awaited

    return talks[0], talks[1]


@pytest.mark.parametrize("name", ERAS)
async def test_every_era(world: World, name: str) -> None:
    """Results, progress, messages, cancellation, parallel calls are the same with sidelog; each
    call is a true row.
    """
    era = ERAS[name]
    run = f"run-{name}"
    direct, proxied = await talk_twice(world, era, run)
    assert sorted_calls(proxied.told) == sorted_calls(direct.told)
    assert (proxied.progress, proxied.notices) == (direct.progress, direct.notices)
    if not era.is_plain:
        assert [step for step, _, _ in proxied.progress] == [1, 2, 3]
        assert any(CITY in json.dumps(told.answer, ensure_ascii=False) for told in proxied.told)
    asks_back = ["greet"] if era.is_modern and not era.is_plain else []
    rows = await asyncio.to_thread(rows_of, world.sidelog, run, len(proxied.told) + len(asks_back))
    asked = [row for row in rows if row["metadata"].get("result_type") == "input_required"]
    assert [(row["tool_name"], row["status"]) for row in asked] == [
        (tool, "success") for tool in asks_back
    ]
    check_rows(
        [row for row in rows if row not in asked], [heard(told) for told in proxied.told], era
    )
    for row in rows:
        check_metadata(row, era)
        await asyncio.to_thread(check_record, world.sidelog, row, era)


def check_rows(rows: list[dict[str, Any]], told: list[Told], era: Era) -> None:
    """Each row is one call the client made, with its outcome; there is none besides."""
    expected = sorted_calls(told)
    assert sorted_calls([shown(row) for row in rows]) == expected
    rows.sort(key=lambda row: (row["tool_name"], json.dumps(row["arguments"])))
    for row, call in zip(rows, expected, strict=True):
        check_outcome(row, call, era)


def check_record(sidelog: Sidelog, row: dict[str, Any], era: Era) -> None:
    """The exchange of a call shows the call, the right status, and is whole unless the client left
    it.
    """
    record = sidelog.record(row["metadata"]["record_id"])
    if "other_stream" not in era.transports:
        assert row["id"] in [tool["id"] for tool in record["tools"]]
    is_left = row["tool_name"] == "hang" and era.is_modern
    assert record["outcome"] == ("client_closed" if is_left else "ok")
    assert record["status"] == (
        202 if era.path == "/sse" else row.get("error_details", {}).get("status_code", 200)
    )


@asynccontextmanager
async def raw_session(world: World, run: str) -> AsyncIterator[tuple[Talk, dict[str, str]]]:
    """A conversation, and the headers of its session for requests beside it."""
    async with talking(f"{world.sidelog.url}/mcp", "legacy", run) as talk:
        names: list[str] = []

        async def note(request: Any) -> None:
            names.append(request.headers["mcp-session-id"])

        talk.http.event_hooks = {"request": [note], "response": []}
        await talk.client.list_tools()
        talk.http.event_hooks = {"request": [], "response": []}
        yield talk, {"mcp-session-id": names[0], "accept": "application/json, text/event-stream"}


async def test_a_session_that_has_ended(world: World) -> None:
    """A call after the end of its session fails by its status."""
    async with raw_session(world, "run-ended") as (talk, headers):
        assert (
            await talk.http.delete(f"{world.sidelog.url}/mcp", headers=headers)
        ).status_code == 200
        await talk.call("add", {"a": 1, "b": 1})

    assert "code" in (talk.told[0].answer or {})
    (row,) = await asyncio.to_thread(rows_of, world.sidelog, "run-ended", 1)
    assert (row["status"], row["error_details"]["status_code"]) == ("error", 404)


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_a_server_that_breaks(world: World, mode: str) -> None:
    """A call that gets a 503 fails by its status; the client is told the same as without sidelog."""
    told = []
    for url in (world.server, world.sidelog.url):
        async with talking(f"{url}/mcp", mode, f"run-broken-{mode}") as talk:
            await talk.client.list_tools()
            talk.http.headers["x-break"] = "503"
            await talk.call("add", {"a": 1, "b": 1})
            del talk.http.headers["x-break"]
            told.append(talk.told)

    assert told[0] == told[1]
    assert "code" in (told[1][0].answer or {})
    (row,) = await asyncio.to_thread(rows_of, world.sidelog, f"run-broken-{mode}", 1)
    details = row["error_details"]
    assert (row["status"], details["status_code"], details["error"]["type"]) == (
        "error",
        503,
        "http_503",
    )


async def test_a_batch_that_is_refused(world: World) -> None:
    """The SDK's server takes no batches any more: each of their calls is a row, and none was made."""
    calls = [
        {
            "jsonrpc": "2.0",
            "id": number,
            "method": "tools/call",
            "params": {"name": "add", "arguments": {"a": number}},
        }
        for number in (1, 2)
    ]
    async with raw_session(world, "run-batch") as (talk, headers):
        answer = await talk.http.post(f"{world.sidelog.url}/mcp", headers=headers, json=calls)
    assert answer.status_code == 400
    rows = await asyncio.to_thread(rows_of, world.sidelog, "run-batch", 2)
    assert [(row["arguments"]["a"], row["status"]) for row in rows] == [(1, "error"), (2, "error")]
    assert {row["error_details"]["status_code"] for row in rows} == {400}
    assert rows[1]["id"] == f"{rows[0]['id']}.1"


async def test_changes_are_heard_by_who_listens(world: World) -> None:
    """Without sessions a client opens a stream of changes: they arrive while it is open, and it is
    one exchange.
    """
    async with (
        talking(f"{world.sidelog.url}/mcp", MODERN, "run-listen") as talk,
        asyncio.timeout(60),
        talk.client.listen(tools_list_changed=True) as changes,
    ):
        await talk.call("announce")
        event = await anext(aiter(changes))

    assert type(event).__name__ == "ToolsListChanged"
    (record,) = await asyncio.to_thread(
        eventually, lambda: world.sidelog.records("q=subscriptions/listen")
    )
    assert (record["method"], record["status"]) == ("POST", 200)
