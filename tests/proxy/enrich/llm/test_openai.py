"""Calls of OpenAI shape: chat, responses, embeddings, and the services that speak alike."""

from typing import Any

import pytest

from tests.proxy.enrich.calls import (
    CHAT,
    CHAT_ANSWER,
    named,
    record_of,
)
from tests.support.cases import each_of

RESPONSE: dict[str, Any] = {
    "object": "response",
    "model": "gpt-4o",
    "status": "completed",
    "incomplete_details": None,
    "output": [],
}


CUT_RESPONSE = RESPONSE | {
    "status": "incomplete",
    "incomplete_details": {"reason": "max_output_tokens"},
}


GEMINI = "/v1beta/models/gemini-2.5-flash:generateContent"


REASONS = [
    ("/v1/chat/completions", CHAT_ANSWER, "stop"),
    (
        "/v1/completions",
        {"object": "text_completion", "choices": [{"text": "a", "finish_reason": "length"}]},
        "length",
    ),
    ("/v1/responses", RESPONSE, "completed"),
    ("/v1/responses", CUT_RESPONSE, "max_output_tokens"),
    ("/v1/messages", {"type": "message", "content": [], "stop_reason": "tool_use"}, "tool_use"),
    (GEMINI, {"candidates": [{"finishReason": "MAX_TOKENS"}]}, "MAX_TOKENS"),
    (GEMINI, {"promptFeedback": {"blockReason": "SAFETY"}}, "SAFETY"),
    ("/api/chat", {"message": {"content": "a"}, "done": True, "done_reason": "stop"}, "stop"),
]


@each_of(("path", "answer", "reason"), REASONS)
@each_of("is_cut", [False, True])
def test_reason_of_a_document(path: str, answer: dict[str, Any], reason: str, is_cut: bool) -> None:
    """An answer has its reason in every shape, also when its middle was not kept."""
    windows = (65536, 16384)
    if is_cut:
        begin = {
            name: value
            for name, value in answer.items()
            if name not in ("candidates", "choices", "done_reason")
        }
        middle = {
            "output": [{"type": "message", "status": "completed", "text": "x" * 4000}],
            "text": "y" * 4000,
        }
        answer = begin | middle | answer | {"output": middle["output"]}
        windows = (1024, 1024)

    record = record_of(path, CHAT, answer, windows=windows)
    assert record.stream is not None
    assert (record.stream.frames, record.stream.finish_reason) == (None, reason)


def item(kind: str, action: str | None = None) -> dict[str, Any]:
    """An item of a response's output that the provider's own tools made."""
    return {"type": kind, "status": "completed"} | (
        {} if action is None else {"action": {"type": action}}
    )


OUTPUT = [
    item("web_search_call", "search"), item("web_search_call", "open_page"), item("web_search_call", "find_in_page"),
    item("web_search_call", "search"), item("file_search_call"), item("image_generation_call"),
    item("code_interpreter_call"), item("x_search_call"),
]  # fmt: skip
PAID = {
    "web_searches": 2,
    "file_searches": 1,
    "image_generations": 1,
    "code_interpreter_calls": 1,
    "x_searches": 1,
}


@pytest.mark.parametrize("kind", ["document", "stream", "without its end"])
def test_tools_of_the_provider_are_paid_by_what_they_did(kind: str) -> None:
    """To open a page is no search; the list has no price of images, code and X."""
    asked = {"model": "gpt-5", "input": "hi"}
    whole = {
        "id": "resp_1", "object": "response", "status": "completed", "model": "gpt-5", "output": OUTPUT,
        "usage": {"input_tokens": 1000, "output_tokens": 0, "total_tokens": 1000},
    }  # fmt: skip
    events = [
        event
        for made in OUTPUT
        for event in (
            {"type": "response.output_item.added", "item": item(made["type"])},
            {"type": "response.output_item.done", "item": made},
        )
    ]
    end = {"type": "response.completed", "response": whole}

    if kind == "document":
        record = record_of("/v1/responses", asked, whole)
    else:
        answer = named(*events, *([end] if kind == "stream" else []))
        record = record_of("/v1/responses", asked, answer, content_type="text/event-stream")

    assert record.stream is not None
    assert record.stream.meters == PAID
    if kind != "without its end":
        assert record.cost_usd == pytest.approx(1000 * 1.25e-6 + 2 * 0.01 + 0.0025)
        assert record.stream.cost_lacks == [
            "image_generations",
            "code_interpreter_calls",
            "x_searches",
        ]


@each_of(("said", "searches"), [(1, 1), (2, 2), (0, 0), (None, 3), ("1", 3)])
@each_of("kind", ["document", "stream", "cut"])
def test_searches_are_paid_by_the_request_where_their_number_is_said(
    said: object, searches: int, kind: str
) -> None:
    """Several items of the output may belong to one request."""
    whole: dict[str, Any] = {
        "id": "resp_1", "object": "response", "status": "completed", "model": "gpt-5",
        "output": [item("web_search_call", "search")] * 3 + [{"type": "message", "text": "x" * 3000}],
        "tool_usage": {"image_gen": {"input_tokens": 0}, "web_search": {"num_requests": said}},
        "usage": {"input_tokens": 1600, "output_tokens": 200, "total_tokens": 1800},
    }  # fmt: skip
    answer: Any = whole
    if kind == "stream":
        done = [{"type": "response.output_item.done", "item": made} for made in whole["output"][:3]]
        answer = named(*done, {"type": "response.completed", "response": whole})
    record = record_of(
        "/v1/responses", {"model": "gpt-5", "input": "hi"}, answer,
        content_type="text/event-stream" if kind == "stream" else "application/json",
        windows=(900, 900) if kind == "cut" else (1 << 20, 0),
    )  # fmt: skip
    if kind == "cut" and not isinstance(said, int):
        return  # the items were not captured

    assert record.stream is not None
    assert (record.stream.meters or {}).get("web_searches", 0) == searches
    assert record.cost_usd == pytest.approx(0.004 + 0.01 * searches)


def test_an_image_that_is_longer_than_what_is_kept() -> None:
    """Its last event has the counts behind the data, and its name before them."""
    usage = {"total_tokens": 100, "input_tokens": 50, "output_tokens": 50}
    end = {
        "type": "image_generation.completed",
        "b64_json": "A" * 9000,
        "output_format": "png",
        "usage": usage,
    }
    answer = named(
        {"type": "image_generation.partial_image", "b64_json": "A" * 9000, "output_format": "png"},
        end,
    )
    asked = {"model": "gpt-image-1", "prompt": "a sheep", "stream": True}
    more: dict[str, Any] = {"content_type": "text/event-stream", "windows": (2000, 1000)}
    record = record_of("/v1/images/generations", asked, answer, **more)
    assert (record.input_tokens, record.output_tokens, record.usage_state) == (50, 50, "exact")
    assert record.stream is not None
    assert record.stream.end == "complete"
