"""The fake OpenAI API, on its public wire format."""

import base64
import json
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from proxy.demo.upstream import application

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "one two three"}]}

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client of the demo upstream, which does not pause between frames."""
    async with TestClient(TestServer(application(pace_s=0))) as found:
        yield found


async def data_of(client: Client, path: str, body: dict[str, Any]) -> list[str]:
    """Return the data of every frame of a stream, checking that each line is well-formed."""
    answer = await client.post(path, json=body)
    assert (answer.status, answer.content_type) == (200, "text/event-stream")
    text = await answer.text()
    assert text.endswith("\n\n")
    frames = [frame.split("\n") for frame in text.removesuffix("\n\n").split("\n\n")]
    assert all(line.startswith(("data: ", "event: ")) for frame in frames for line in frame)
    return [frame[-1].removeprefix("data: ") for frame in frames]


async def test_a_completion_has_message_and_usage(client: Client) -> None:
    """Prompt and completion are counted, total is their sum, equal requests get equal answers."""
    first, second = [await (await client.post("/v1/chat/completions", json=CHAT)).json() for _ in range(2)]
    assert first == second
    assert first["object"] == "chat.completion"
    assert first["choices"][0]["message"]["content"].endswith("one two three")
    usage = first["usage"]
    assert usage["prompt_tokens"] == 3
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


async def test_a_stream_without_the_option_has_no_usage(client: Client) -> None:
    """Chunks carry no usage key, the last frame is [DONE]."""
    *chunks, done = await data_of(client, "/v1/chat/completions", CHAT | {"stream": True})
    assert done == "[DONE]"
    assert all("usage" not in json.loads(chunk) for chunk in chunks)
    assert json.loads(chunks[-1])["choices"][0]["finish_reason"] == "stop"


async def test_a_stream_with_the_option_ends_with_usage(client: Client) -> None:
    """Every chunk has a null usage, one more without choices has the counts of the plain answer."""
    body = CHAT | {"stream": True, "stream_options": {"include_usage": True}}
    chunks = [json.loads(chunk) for chunk in (await data_of(client, "/v1/chat/completions", body))[:-1]]
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1]["choices"] == []
    plain = await (await client.post("/v1/chat/completions", json=CHAT)).json()
    assert chunks[-1]["usage"] == plain["usage"]
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1])
    assert text == plain["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (CHAT | {"model": "gpt-busy"}, 429, "rate_limit_exceeded"),
        (CHAT | {"model": "gpt-broken"}, 500, None),
        (CHAT | {"model": "llama"}, 404, "model_not_found"),
        ({"model": "gpt-4o"}, 400, "missing_required_parameter"),
        ({"messages": []}, 400, None),
        ([], 400, None),
    ],
)
async def test_errors_have_type_code_message_and_param(
    client: Client, body: object, status: int, code: str | None
) -> None:
    """Every error has the same four keys; a limit says when to come back."""
    answer = await client.post("/v1/chat/completions", json=body)
    error = (await answer.json())["error"]
    assert (answer.status, error["code"]) == (status, code)
    assert set(error) == {"message", "type", "param", "code"}
    assert ("Retry-After" in answer.headers) == (status == 429)


async def test_strange_options_do_not_break_a_stream(client: Client) -> None:
    """Options that are no object count as none."""
    body = CHAT | {"stream": True, "stream_options": "yes", "messages": [{"content": [{"text": "\ud800"}]}]}
    assert (await data_of(client, "/v1/chat/completions", body))[-1] == "[DONE]"


async def test_a_response_stream_is_numbered_and_ends_with_the_plain_answer(client: Client) -> None:
    """Events are counted from 0; usage is only in the last one, equal to the plain answer's."""
    body = {"model": "gpt-4o", "input": [{"role": "user", "content": "a b"}], "stream": True}
    events = [json.loads(data) for data in await data_of(client, "/v1/responses", body)]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[0]["type"] == "response.created"
    assert events[0]["response"]["usage"] is None
    assert events[-1]["type"] == "response.completed"
    plain = await (await client.post("/v1/responses", json=body | {"stream": False})).json()
    assert events[-1]["response"]["usage"] == plain["usage"]
    assert plain["usage"]["input_tokens"] == 2
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert "".join(deltas) == plain["output"][0]["content"][0]["text"]


async def test_embeddings_come_as_numbers_or_packed(client: Client) -> None:
    """Both encodings say the same, to the precision of float32."""
    body = {"model": "text-embedding-3-small", "input": ["a b", "c"], "dimensions": 8}
    plain = await (await client.post("/v1/embeddings", json=body)).json()
    packed = await (await client.post("/v1/embeddings", json=body | {"encoding_format": "base64"})).json()
    assert plain["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    for one, other in zip(plain["data"], packed["data"], strict=True):
        assert struct.unpack("<8f", base64.b64decode(other["embedding"])) == pytest.approx(one["embedding"], abs=1e-6)
    assert plain["data"][0]["embedding"] != plain["data"][1]["embedding"]


async def test_models_are_listed(client: Client) -> None:
    """Every listed model answers."""
    found = await (await client.get("/v1/models")).json()
    assert "gpt-4o" in [model["id"] for model in found["data"]]


async def test_a_stream_with_running_usage(client: Client) -> None:
    """Every chunk has the counts so far, as vLLM writes them."""
    options = {"include_usage": True, "continuous_usage_stats": True}
    frames = await data_of(client, "/v1/chat/completions", CHAT | {"stream": True, "stream_options": options})
    counts = [json.loads(frame)["usage"]["completion_tokens"] for frame in frames[:-1]]
    assert counts[:4] == [0, 1, 2, 3]


async def test_a_tool_is_called_once(client: Client) -> None:
    """The first one offered is called, its arguments streamed in parts, unless its result was just sent."""
    function = {"name": "weather", "parameters": {"properties": {"city": {"type": "string"}}}}
    body = CHAT | {"tools": [{"type": "function", "function": function}]}
    plain = await (await client.post("/v1/chat/completions", json=body)).json()
    (call,) = plain["choices"][0]["message"]["tool_calls"]
    assert (call["function"], plain["choices"][0]["finish_reason"]) == (
        {"name": "weather", "arguments": '{"city": "three"}'}, "tool_calls",
    )  # fmt: skip
    *chunks, _ = await data_of(client, "/v1/chat/completions", body | {"stream": True})
    parts = [part for chunk in chunks for part in json.loads(chunk)["choices"][0]["delta"].get("tool_calls", [])]
    assert "".join(part["function"]["arguments"] for part in parts) == call["function"]["arguments"]
    result = {"role": "tool", "tool_call_id": call["id"], "content": "sunny"}
    body |= {"messages": [*body["messages"], result]}
    plain = await (await client.post("/v1/chat/completions", json=body)).json()
    assert plain["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(("path", "asked"), [("chat/completions", CHAT), ("responses", {"input": "one two"})])
async def test_a_stream_may_fail_in_its_middle(client: Client, path: str, asked: dict[str, Any]) -> None:
    """The error is the last frame under a 200."""
    frames = await data_of(client, f"/v1/{path}", asked | {"model": "gpt-faulty", "stream": True})
    last = json.loads(frames[-1])
    assert last.get("error", last)["code"] == "server_error"


async def test_the_older_endpoint(client: Client) -> None:
    """A completion of a prompt has text and counts."""
    answer = await client.post("/v1/completions", json={"model": "gpt-4o", "prompt": "one two"})
    found = await answer.json()
    assert (found["choices"][0]["finish_reason"], found["usage"]["prompt_tokens"]) == ("stop", 2)


async def test_a_response_may_call_a_function(client: Client) -> None:
    """Streamed, its arguments come apart, and the last event has the plain answer; its output ends the calling."""
    function = {"type": "function", "name": "weather", "parameters": {"properties": {"city": {"type": "string"}}}}
    body: dict[str, Any] = {"model": "gpt-4o", "input": "weather in Bern", "tools": [function]}
    plain = await (await client.post("/v1/responses", json=body)).json()
    (call,) = plain["output"]
    assert (call["type"], call["name"], json.loads(call["arguments"])) == ("function_call", "weather", {"city": "Bern"})
    frames = [json.loads(frame) for frame in await data_of(client, "/v1/responses", body | {"stream": True})]
    streamed = frames[-1]["response"]["output"][0]
    assert (streamed["name"], streamed["arguments"]) == (call["name"], call["arguments"])
    given = [{"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}]
    plain = await (await client.post("/v1/responses", json=body | {"input": given})).json()
    assert plain["output"][0]["type"] == "message"
