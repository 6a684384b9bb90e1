"""The fake Gemini API, on its public wire format."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.support.providers.upstream import application

Client = TestClient[web.Request, web.Application]
MODELS = "/v1beta/models"
BODY = {"contents": [{"role": "user", "parts": [{"text": "one two"}]}]}


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client of the demo upstream, which does not pause between frames."""
    async with TestClient(TestServer(application(pace_s=0))) as found:
        yield found


async def ask(client: Client, path: str, body: object = BODY) -> tuple[int, str]:
    """POST JSON; status and text."""
    answer = await client.post(f"{MODELS}/{path}", json=body)
    return answer.status, await answer.text()


async def test_content_has_counts(client: Client) -> None:
    """The answer has a candidate with a reason, and counts."""
    status, text = await ask(client, "gemini-2.5-flash:generateContent")
    found = json.loads(text)
    words = len(found["candidates"][0]["content"]["parts"][0]["text"].split())
    assert (status, found["candidates"][0]["finishReason"], found["modelVersion"]) == (
        200,
        "STOP",
        "gemini-2.5-flash-001",
    )
    assert found["usageMetadata"] == {
        "promptTokenCount": 2, "candidatesTokenCount": words, "totalTokenCount": words + 2,
    }  # fmt: skip


async def test_a_stream_is_events_or_an_array(client: Client) -> None:
    """Both have the same pieces; the counts are those so far."""
    _, text = await ask(client, "gemini-2.5-flash:streamGenerateContent?alt=sse")
    events = [json.loads(frame.removeprefix("data: ")) for frame in text.split("\r\n\r\n") if frame]
    _, text = await ask(client, "gemini-2.5-flash:streamGenerateContent")
    assert json.loads(text) == events
    counts = [event["usageMetadata"]["candidatesTokenCount"] for event in events]
    assert counts == sorted(counts)
    assert events[-1]["candidates"][0]["finishReason"] == "STOP"


async def test_a_function_is_called_once(client: Client) -> None:
    """The first one offered is called, unless its result was just sent."""
    schema = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}, "days": {"type": "NUMBER"}}}
    body: dict[str, Any] = BODY | {"tools": [{"functionDeclarations": [{"name": "weather", "parameters": schema}]}]}
    _, text = await ask(client, "gemini-2.5-flash:generateContent", body)
    (part,) = json.loads(text)["candidates"][0]["content"]["parts"]
    assert part == {"functionCall": {"name": "weather", "args": {"city": "two", "days": 2}}}
    given = {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {}}}]}
    _, text = await ask(client, "gemini-2.5-flash:generateContent", body | {"contents": [*body["contents"], given]})
    assert "text" in json.loads(text)["candidates"][0]["content"]["parts"][0]


async def test_embeddings(client: Client) -> None:
    """One vector per request."""
    body = {"requests": [{"content": {"parts": [{"text": "a"}]}}, {"content": {"parts": [{"text": "b"}]}}]}
    _, text = await ask(client, "gemini-embedding-001:batchEmbedContents", body)
    first, second = json.loads(text)["embeddings"]
    assert first != second


@pytest.mark.parametrize(
    ("path", "body", "expected", "reason"),
    [
        ("gemini-2.5-flash:generateContent", {}, 400, "INVALID_ARGUMENT"),
        ("gemini-2.5-flash:generateContent", [], 400, "INVALID_ARGUMENT"),
        (
            "gemini-2.5-flash:generateContent",
            BODY | {"generationConfig": {"maxOutputTokens": 0}},
            400,
            "INVALID_ARGUMENT",
        ),
        ("gemini-busy:generateContent", BODY, 429, "RESOURCE_EXHAUSTED"),
        ("gemini-broken:streamGenerateContent", BODY, 500, "INTERNAL"),
        ("bard:generateContent", BODY, 404, "NOT_FOUND"),
    ],
)  # fmt: skip
async def test_errors(client: Client, path: str, body: object, expected: int, reason: str) -> None:
    """Each error has its status, as a number and by name."""
    status, text = await ask(client, path, body)
    error = json.loads(text)["error"]
    assert (status, error["code"], error["status"]) == (expected, expected, reason)


async def test_errors_under_a_200(client: Client) -> None:
    """A stream that fails in its middle, and a blocked prompt, begin as successes."""
    status, text = await ask(client, "gemini-faulty:streamGenerateContent?alt=sse")
    assert (status, '"error"' in text.split("\r\n\r\n")[-2]) == (200, True)
    forbidden = {"contents": [{"parts": [{"text": "a forbidden word"}]}]}
    for method in ("generateContent", "streamGenerateContent"):
        status, text = await ask(client, f"gemini-2.5-flash:{method}", forbidden)
        assert (status, '"blockReason": "SAFETY"' in text) == (200, True)
