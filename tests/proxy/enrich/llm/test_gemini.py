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


@pytest.mark.parametrize("kind", ["events", "array"])
@pytest.mark.parametrize("windows", [(65536, 16384), (700, 700)])
def test_gemini_streams(kind: str, windows: tuple[int, int]) -> None:
    """Counts repeat and the last ones win, in events and in a streamed array, with and without its
    middle.
    """
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
    record = record_of(
        "/v1beta/models/g:streamGenerateContent",
        {},
        answer,
        content_type=content_type,
        windows=windows,
    )
    assert facts_of(record)[3:5] == (13, 25)
    assert record.usage_state == "exact"
    assert record.stream is not None
    assert record.stream.finish_reason == "STOP"
