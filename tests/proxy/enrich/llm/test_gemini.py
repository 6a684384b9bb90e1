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


@pytest.mark.parametrize(
    ("said", "header", "tier"),
    [
        ({"serviceTier": "flex"}, "", "flex"),
        ({"serviceTier": "standard", "trafficType": "ON_DEMAND"}, "", None),
        ({"trafficType": "ON_DEMAND_OFFPEAK"}, "", "ON_DEMAND_OFFPEAK"),
        ({}, "X-Gemini-Service-Tier: priority\r\n", "priority"),
        ({}, "X-Gemini-Service-Tier: standard\r\n", None),
    ],
)
def test_the_tier_that_was_served(said: dict[str, str], header: str, tier: str | None) -> None:
    """As the counts say, or the head alone; one that has the usual price says nothing."""
    answer = gemini_chunk("hi", "STOP", usageMetadata=GEMINI_USAGE | said)
    record = record_of("/v1beta/models/g:generateContent", {}, answer, response_headers=header)
    assert record.stream is not None
    assert record.stream.service_tier == tier


@pytest.mark.parametrize(("cached", "audio"), [([("TEXT", 400)], 0), ([("TEXT", 300), ("AUDIO", 100)], 100)])
def test_kinds_of_input_that_came_from_the_cache(cached: list[tuple[str, int]], audio: int) -> None:
    """Audio has a price of its own, cached or not; a picture is paid as text where the list has none for it."""

    def kinds(*counts: tuple[str, int]) -> list[dict[str, Any]]:
        return [{"modality": kind, "tokenCount": count} for kind, count in counts]

    usage = {
        "promptTokenCount": 1000, "candidatesTokenCount": 10, "cachedContentTokenCount": 400,
        "promptTokensDetails": kinds(("TEXT", 400), ("AUDIO", 500), ("IMAGE", 100)),
        "cacheTokensDetails": kinds(*cached),
    }  # fmt: skip
    answer = gemini_chunk("hi", "STOP", usageMetadata=usage) | {"modelVersion": "gemini-2.5-flash"}
    record = record_of("/v1beta/models/gemini-2.5-flash:generateContent", {}, answer)
    fresh = (500 - audio) * 1 + (500 - 400 + audio) * 0.3
    assert record.cost_usd == pytest.approx((fresh + audio * 0.1 + (400 - audio) * 0.03 + 10 * 2.5) / 1e6)
    assert record.stream is not None
    assert record.stream.cost_lacks is None
