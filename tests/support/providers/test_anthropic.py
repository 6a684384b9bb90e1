"""The fake Anthropic API, on its public wire format."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.support.providers.upstream import application

BODY = {
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": [{"type": "text", "text": "one two"}]}],
    "model": "claude-haiku-4-5",
    "system": "be brief",
}

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client of the demo upstream, which does not pause between frames."""
    async with TestClient(TestServer(application(pace_s=0))) as found:
        yield found


async def events_of(client: Client, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events of a stream, checking that each frame's name is its data's type."""
    answer = await client.post("/v1/messages", json=body | {"stream": True})
    assert (answer.status, answer.content_type) == (200, "text/event-stream")
    found = []
    for frame in (await answer.text()).removesuffix("\n\n").split("\n\n"):
        name, data = frame.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


async def test_a_message_has_content_and_usage(client: Client) -> None:
    """Input counts what no cache knew, the system prompt counts as read from the cache."""
    answer = await client.post("/v1/messages", json=BODY)
    message = await answer.json()
    assert message["content"][0]["text"].endswith("one two")
    assert (message["usage"]["input_tokens"], message["usage"]["cache_read_input_tokens"]) == (2, 2)
    assert message["stop_reason"] == "end_turn"
    assert answer.headers["request-id"].startswith("req_")


async def test_a_stream_has_its_events_in_order(client: Client) -> None:
    """Start, one block, deltas of the message, stop."""
    kinds = [event["type"] for event in await events_of(client, BODY)]
    assert kinds[:3] == ["message_start", "content_block_start", "ping"]
    assert set(kinds[3:-4]) == {"content_block_delta"}
    assert kinds[-4:] == ["content_block_stop", "message_delta", "message_delta", "message_stop"]


async def test_usage_in_a_stream_is_cumulative(client: Client) -> None:
    """The last delta alone says what the plain answer says; adding them up would be wrong."""
    plain = await (await client.post("/v1/messages", json=BODY)).json()
    events = await events_of(client, BODY)
    deltas = [event["usage"] for event in events if event["type"] == "message_delta"]
    assert events[0]["message"]["usage"]["input_tokens"] == plain["usage"]["input_tokens"]
    assert deltas[-1] == plain["usage"]
    assert 0 < deltas[0]["output_tokens"] < deltas[1]["output_tokens"]
    text = "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta")
    assert text == plain["content"][0]["text"]


async def test_an_answer_is_cut_at_max_tokens(client: Client) -> None:
    """So many words and the reason."""
    message = await (await client.post("/v1/messages", json=BODY | {"max_tokens": 4})).json()
    assert (message["usage"]["output_tokens"], message["stop_reason"]) == (4, "max_tokens")


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (BODY | {"model": "claude-busy"}, 529, "overloaded_error"),
        (BODY | {"model": "claude-limited"}, 429, "rate_limit_error"),
        (BODY | {"model": "claude-broken"}, 500, "api_error"),
        (BODY | {"model": "gpt-4o"}, 404, "not_found_error"),
        (BODY | {"max_tokens": None}, 400, "invalid_request_error"),
        ("text", 400, "invalid_request_error"),
    ],
)
async def test_errors_name_their_type(client: Client, body: object, status: int, kind: str) -> None:
    """An error is an object of type error with a typed error in it."""
    answer = await client.post("/v1/messages", json=body)
    found = await answer.json()
    assert (answer.status, found["type"], found["error"]["type"]) == (status, "error", kind)


async def test_a_tool_is_called_once(client: Client) -> None:
    """The first one offered is called, its input streamed as JSON, unless its result was just sent."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    body: dict[str, Any] = BODY | {"tools": [{"name": "weather", "input_schema": schema}]}
    message = await (await client.post("/v1/messages", json=body)).json()
    (call,) = message["content"]
    assert (call["name"], call["input"], message["stop_reason"]) == ("weather", {"city": "two"}, "tool_use")
    deltas = [event["delta"] for event in await events_of(client, body) if event["type"] == "content_block_delta"]
    assert json.loads("".join(delta["partial_json"] for delta in deltas)) == call["input"]
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": "sunny"}]}
    answered = body | {"messages": [*body["messages"], result]}
    message = await (await client.post("/v1/messages", json=answered)).json()
    assert message["stop_reason"] == "end_turn"


async def test_a_stream_may_fail_in_its_middle(client: Client) -> None:
    """The error is an event under a 200, and the last one."""
    events = await events_of(client, BODY | {"model": "claude-faulty"})
    assert events[-1] == {"type": "error", "error": {"type": "overloaded_error", "message": "overloaded"}}
