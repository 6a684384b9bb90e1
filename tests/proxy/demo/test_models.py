"""The demo's two models: what sidelog reads of them is there, plain and streamed."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from proxy.demo.upstream import application

Client = TestClient[web.Request, web.Application]
ASKED = [{"role": "user", "content": "one two three"}]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client of the demo upstream, which does not pause between frames."""
    async with TestClient(TestServer(application(pace_s=0))) as found:
        yield found


async def ask(client: Client, path: str, **body: Any) -> tuple[int, str]:
    """POST JSON; status and text."""
    answer = await client.post(path, json={"messages": ASKED, **body})
    return answer.status, await answer.text()


def data_of(text: str) -> list[dict[str, Any]]:
    """The data of every frame but the last one of a chat."""
    frames = [frame.rpartition("data: ")[2] for frame in text.removesuffix("\n\n").split("\n\n")]
    return [json.loads(data) for data in frames if data != "[DONE]"]


async def test_a_chat_streams_what_it_answers_plainly(client: Client) -> None:
    """Text and usage are the same; usage is streamed only when it was asked for."""
    path, model = "/v1/chat/completions", "gpt-4o"
    plain = json.loads((await ask(client, path, model=model))[1])
    _, bare = await ask(client, path, model=model, stream=True)
    assert bare.endswith("data: [DONE]\n\n")
    assert all("usage" not in chunk for chunk in data_of(bare))
    options = {"include_usage": True}
    *chunks, last = data_of((await ask(client, path, model=model, stream=True, stream_options=options))[1])
    assert last["usage"] == plain["usage"]
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert text == plain["choices"][0]["message"]["content"]
    assert plain["usage"]["prompt_tokens"] == 3


async def test_a_message_streams_what_it_answers_plainly(client: Client) -> None:
    """Text, stop reason and final counts are the same, also when max_tokens cuts the answer."""
    for limit, reason in ((1000, "end_turn"), (4, "max_tokens")):
        body = {"model": "claude-haiku-4-5", "max_tokens": limit, "system": "be brief"}
        plain = json.loads((await ask(client, "/v1/messages", **body))[1])
        events = data_of((await ask(client, "/v1/messages", **body, stream=True))[1])
        deltas = [event["delta"]["text"] for event in events if event["type"] == "content_block_delta"]
        assert "".join(deltas) == plain["content"][0]["text"]
        final = events[-2]
        assert (final["delta"]["stop_reason"], plain["stop_reason"]) == (reason, reason)
        assert final["usage"] == plain["usage"]
        assert plain["usage"]["cache_read_input_tokens"] == 2


@pytest.mark.parametrize(
    ("path", "model", "status"), [("/v1/chat/completions", "gpt-busy", 429), ("/v1/messages", "claude-busy", 529)]
)
async def test_a_busy_model_says_so(client: Client, path: str, model: str, status: int) -> None:
    """The error has the provider's own shape and status."""
    found, text = await ask(client, path, model=model, max_tokens=9)
    assert (found, "message" in json.loads(text)["error"]) == (status, True)
