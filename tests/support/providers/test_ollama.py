"""The fake Ollama, on its public wire format."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.support.providers.upstream import application

Client = TestClient[web.Request, web.Application]
BODY: dict[str, Any] = {"model": "llama3", "messages": [{"role": "user", "content": "one two"}]}
PROMPT = {"model": "llama3", "prompt": "one two three"}


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client of the demo upstream, which does not pause between frames."""
    async with TestClient(TestServer(application(pace_s=0))) as found:
        yield found


async def ask(client: Client, path: str, body: object) -> tuple[int, list[dict[str, Any]]]:
    """POST JSON; status and lines."""
    answer = await client.post(path, json=body)
    assert answer.content_type == (
        "application/x-ndjson" if answer.headers.get("Cache-Control") else "application/json"
    )
    return answer.status, [json.loads(line) for line in (await answer.text()).splitlines()]


@pytest.mark.parametrize(("path", "body", "prompt"), [("/api/chat", BODY, 2), ("/api/generate", PROMPT, 3)])
async def test_lines_by_default(client: Client, path: str, body: dict[str, Any], prompt: int) -> None:
    """A stream and a whole answer say the same; only the last line has counts."""
    _, lines = await ask(client, path, body)
    _, (whole,) = await ask(client, path, body | {"stream": False})
    texts = [line["message"]["content"] if "message" in line else line["response"] for line in lines]
    assert "".join(texts) == (whole["message"]["content"] if "message" in whole else whole["response"])
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    for found in (lines[-1], whole):
        assert (found["prompt_eval_count"], found["eval_count"]) == (prompt, len(lines) - 1)


async def test_a_tool_is_called_once(client: Client) -> None:
    """The first one offered is called, unless its result was just sent."""
    function = {"name": "weather", "parameters": {"properties": {"city": {"type": "string"}}}}
    body = BODY | {"tools": [{"type": "function", "function": function}], "stream": False}
    _, (answer,) = await ask(client, "/api/chat", body)
    assert answer["message"]["tool_calls"] == [{"function": {"name": "weather", "arguments": {"city": "two"}}}]
    result = {"role": "tool", "content": "sunny"}
    _, (answer,) = await ask(client, "/api/chat", body | {"messages": [*BODY["messages"], result]})
    assert "tool_calls" not in answer["message"]


async def test_embeddings(client: Client) -> None:
    """One vector per input, and their count."""
    _, (answer,) = await ask(client, "/api/embed", {"model": "llama3", "input": ["one", "two three"]})
    assert (len(answer["embeddings"]), answer["prompt_eval_count"]) == (2, 3)


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/api/chat", {}, 400),
        ("/api/chat", BODY | {"messages": []}, 400),
        ("/api/generate", [], 400),
        ("/api/embed", {"model": "x"}, 404),
        ("/api/chat", BODY | {"model": "llama-busy"}, 429),
        ("/api/generate", PROMPT | {"model": "llama-broken"}, 500),
    ],
)
async def test_errors(client: Client, path: str, body: object, expected: int) -> None:
    """An error is a text."""
    status, (answer,) = await ask(client, path, body)
    assert status == expected
    assert isinstance(answer["error"], str)


async def test_an_error_under_a_200(client: Client) -> None:
    """A stream that fails in its middle begins as a success."""
    status, lines = await ask(client, "/api/chat", BODY | {"model": "llama-faulty"})
    assert (status, list(lines[-1])) == (200, ["error"])
