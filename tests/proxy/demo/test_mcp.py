"""The demo's MCP server: sessions, tools, JSON and event-stream answers."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from proxy.demo.mcp import SESSION_HEADER
from proxy.demo.upstream import application

ACCEPT = {"Accept": "application/json, text/event-stream"}

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client of the demo upstream, which does not pause between frames."""
    async with TestClient(TestServer(application(pace_s=0))) as found:
        yield found


@pytest.fixture
async def session(client: Client) -> dict[str, str]:
    """The header of an open session."""
    answer = await client.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}})
    assert (await answer.json())["result"]["serverInfo"]["name"] == "demo-tools"
    return {SESSION_HEADER: answer.headers[SESSION_HEADER]}


async def call(client: Client, session: dict[str, str], name: str, **more: Any) -> ClientResponse:
    """Call a tool; `more` is laid over the parameters."""
    body = {"jsonrpc": "2.0", "id": "7", "method": "tools/call", "params": {"name": name, **more}}
    return await client.post("/mcp", json=body, headers=ACCEPT | session)


async def test_a_notification_is_accepted_without_answer(client: Client, session: dict[str, str]) -> None:
    """202 and no body."""
    body = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    answer = await client.post("/mcp", json=body, headers=session)
    assert (answer.status, await answer.read()) == (202, b"")


async def test_every_listed_tool_can_be_called(client: Client, session: dict[str, str]) -> None:
    """Names, descriptions and schemas are there, and no listed tool is unknown."""
    answer = await client.post("/mcp", json={"jsonrpc": "2.0", "id": 2, "method": "tools/list"}, headers=session)
    for tool in (await answer.json())["result"]["tools"]:
        assert tool["inputSchema"]["type"] == "object"
        result = (await (await call(client, session, tool["name"])).json())["result"]
        assert result["content"][0]["text"] == f"invalid arguments for tool {tool['name']}"


async def test_a_tool_answers_with_its_id_and_result(client: Client, session: dict[str, str]) -> None:
    """The answer carries the id as it was sent, a string stays a string."""
    answer = await (await call(client, session, "add", arguments={"a": 2, "b": 3})).json()
    assert answer["id"] == "7"
    assert answer["result"]["structuredContent"] == {"sum": 5}
    assert answer["result"]["isError"] is False


@pytest.mark.parametrize(("name", "arguments"), [("restart_service", {"service": "x"}), ("nothing", {}), (None, [])])
async def test_a_failed_tool_is_a_result_with_status_200(
    client: Client, session: dict[str, str], name: Any, arguments: object
) -> None:
    """Failed and unknown tools are told by isError only."""
    answer = await call(client, session, name, arguments=arguments)
    assert (answer.status, (await answer.json())["result"]["isError"]) == (200, True)


async def test_progress_is_streamed_before_the_response(client: Client, session: dict[str, str]) -> None:
    """With a progress token the answer is an event stream, the response is its last message."""
    answer = await call(client, session, "search_documents", arguments={"query": "q"}, _meta={"progressToken": "p"})
    assert answer.content_type == "text/event-stream"
    frames = [frame.split("\n") for frame in (await answer.text()).removesuffix("\n\n").split("\n\n")]
    assert {frame[0] for frame in frames} == {"event: message"}
    messages = [json.loads(frame[1].removeprefix("data: ")) for frame in frames]
    assert [message.get("method") for message in messages] == ["notifications/progress"] * 2 + [None]
    assert len(messages[-1]["result"]["structuredContent"]["documents"]) == 3


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [(b"{", 400, -32700), (b"[]", 400, -32600), (b'{"id": 1, "method": "no/such"}', 200, -32601)],
)
async def test_broken_messages_are_json_rpc_errors(
    client: Client, session: dict[str, str], body: bytes, status: int, code: int
) -> None:
    """Only a message that cannot be read has an HTTP error too."""
    answer = await client.post("/mcp", data=body, headers=session)
    assert (answer.status, (await answer.json())["error"]["code"]) == (status, code)


async def test_a_session_begins_and_ends(client: Client, session: dict[str, str]) -> None:
    """Any is taken; there is no stream of the server's own."""
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert (await (await client.post("/mcp", json=ping, headers=session)).json())["result"] == {}
    assert (await client.delete("/mcp", headers=session)).status == 200
    assert (await client.get("/mcp", headers=session)).status == 405
