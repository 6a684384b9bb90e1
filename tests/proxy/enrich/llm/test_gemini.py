"""Calls of Gemini shape: the model in the path, counts that repeat, blocked prompts."""

import json
from typing import Any

import pytest

from tests.proxy.enrich.calls import (
    facts_of,
    record_of,
    sse,
)

GEMINI_USAGE = {
    "promptTokenCount": 10, "toolUsePromptTokenCount": 3, "candidatesTokenCount": 20, "thoughtsTokenCount": 5,
    "cachedContentTokenCount": 4, "totalTokenCount": 38,
}  # fmt: skip


def gemini_chunk(text: str, reason: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk of a Gemini answer."""
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}}
    if reason is not None:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], "modelVersion": "gemini-2.5-flash-002"} | more


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_gemini(version: str) -> None:
    """Thoughts are output, tool prompts are input; the model is in the path."""
    answer = gemini_chunk("hi", "STOP", usageMetadata=GEMINI_USAGE)
    record = record_of(f"/{version}/models/gemini-2.5-flash:generateContent?key=AIza", {}, answer)
    assert facts_of(record) == ("gemini", "gemini-2.5-flash", "gemini-2.5-flash-002", 13, 25, 4, None, 5)


@pytest.mark.parametrize("kind", ["events", "array"])
@pytest.mark.parametrize("windows", [(65536, 16384), (700, 700)])
def test_gemini_streams(kind: str, windows: tuple[int, int]) -> None:
    """Counts repeat and the last ones win, in events and in a streamed array, with and without its middle."""
    chunks = [
        gemini_chunk("a", usageMetadata={"promptTokenCount": 10, "candidatesTokenCount": 1}),
        *[gemini_chunk("word " * 20)] * 20,
        gemini_chunk("b", "STOP", usageMetadata=GEMINI_USAGE),
    ]
    answer = (
        sse(*chunks)
        if kind == "events"
        else b"[" + b"\n,\r\n".join(json.dumps(c, indent=2).encode() for c in chunks) + b"\n]\n"
    )
    content_type = "text/event-stream" if kind == "events" else "application/json; charset=UTF-8"
    record = record_of("/v1beta/models/g:streamGenerateContent", {}, answer, content_type=content_type, windows=windows)
    assert facts_of(record)[3:5] == (13, 25)
    assert record.usage_state == "exact"
    assert record.stream is not None
    assert record.stream.finish_reason == "STOP"


def test_gemini_blocked_and_refused() -> None:
    """A blocked prompt is no error; an error is named by its status, also inside an array."""
    blocked = sse({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}})
    record = record_of("/v1beta/models/g:streamGenerateContent", {}, blocked, content_type="text/event-stream")
    assert (record.error_type, record.input_tokens) == (None, 4)
    assert record.stream is not None
    assert record.stream.finish_reason == "SAFETY"
    error = {"error": {"code": 429, "message": "x", "status": "RESOURCE_EXHAUSTED"}}
    for answer in (error, [error]):
        record = record_of("/v1beta/models/g:generateContent", {}, answer, status=429)
        assert record.error_type == "RESOURCE_EXHAUSTED"


@pytest.mark.parametrize("method", ["embedContent", "batchEmbedContents"])
def test_gemini_embeddings(method: str) -> None:
    """Both methods are calls of a model, though their answers tell no counts."""
    path = f"/v1beta/models/gemini-embedding-001:{method}"
    record = record_of(path, {"requests": []}, {"embeddings": [{"values": [0.5]}]})
    assert (record.provider, record.model, record.usage_state) == ("gemini", "gemini-embedding-001", "absent")


@pytest.mark.parametrize(
    ("model", "meters"),
    [("gemini-2.5-flash", {"grounded_prompts": 1}), ("gemini-3-flash-preview", {"web_searches": 2})],
)
def test_searches_are_paid_for_by_the_model(model: str, meters: dict[str, int]) -> None:
    """From Gemini 3 on each query, before each prompt with any; an empty query is none."""
    answer = gemini_chunk("hi", "STOP", usageMetadata=GEMINI_USAGE) | {"modelVersion": model}
    answer["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["a", "", "b"]}
    record = record_of(f"/v1beta/models/{model}:generateContent", {}, answer)
    assert record.stream is not None
    assert record.stream.meters == meters
