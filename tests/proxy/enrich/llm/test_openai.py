"""Calls of OpenAI shape: chat, responses, embeddings, and the services that speak alike."""

from typing import Any

import pytest

from tests.proxy.enrich.calls import (
    CHAT,
    CHAT_ANSWER,
    CHAT_USAGE,
    chunk,
    facts_of,
    named,
    record_of,
    sse,
)


def test_chat_completion() -> None:
    """Model as asked and as served, counts with their details."""
    record = record_of("/v1/chat/completions", CHAT, CHAT_ANSWER)
    assert facts_of(record) == ("openai", "gpt-4o", "gpt-4o-2024-08-06", 19, 10, 8, None, 4)
    assert (record.usage_state, record.error_type) == ("exact", None)


@pytest.mark.parametrize(
    ("total", "output"), [(29, 10), (23, 4), (None, 4)], ids=["beside the completion", "within it", "unknown"]
)
def test_reasoning_beside_the_completion(total: int | None, output: int) -> None:
    """xAI's chat counts what the model thought beside its output; the total tells, whoever speaks so."""
    used = {"prompt_tokens": 19, "completion_tokens": 4, "completion_tokens_details": {"reasoning_tokens": 6}}
    record = record_of("/v1/chat/completions", CHAT, CHAT_ANSWER | {"usage": used | {"total_tokens": total}})
    assert (record.output_tokens, record.reasoning_tokens) == (output, 6)


def test_seconds_and_tier_of_mistral() -> None:
    """Both stand in its usage: https://docs.mistral.ai/capabilities/audio/"""
    used = {"prompt_tokens": 4, "completion_tokens": 5, "prompt_audio_seconds": 7, "service_tier": "priority"}
    record = record_of("/v1/chat/completions", CHAT, CHAT_ANSWER | {"usage": used})
    assert record.stream is not None
    assert (record.stream.meters, record.stream.service_tier) == ({"audio_seconds": 7}, "priority")


RESPONSE: dict[str, Any] = {
    "object": "response",
    "model": "gpt-4o",
    "status": "completed",
    "incomplete_details": None,
    "output": [],
}


CUT_RESPONSE = RESPONSE | {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}


GEMINI = "/v1beta/models/gemini-2.5-flash:generateContent"


REASONS = [
    ("/v1/chat/completions", CHAT_ANSWER, "stop"),
    ("/v1/completions", {"object": "text_completion", "choices": [{"text": "a", "finish_reason": "length"}]}, "length"),
    ("/v1/responses", RESPONSE, "completed"),
    ("/v1/responses", CUT_RESPONSE, "max_output_tokens"),
    ("/v1/messages", {"type": "message", "content": [], "stop_reason": "tool_use"}, "tool_use"),
    (GEMINI, {"candidates": [{"finishReason": "MAX_TOKENS"}]}, "MAX_TOKENS"),
    (GEMINI, {"promptFeedback": {"blockReason": "SAFETY"}}, "SAFETY"),
    ("/api/chat", {"message": {"content": "a"}, "done": True, "done_reason": "stop"}, "stop"),
]


@pytest.mark.parametrize(("path", "answer", "reason"), REASONS)
@pytest.mark.parametrize("is_cut", [False, True])
def test_reason_of_a_document(path: str, answer: dict[str, Any], reason: str, is_cut: bool) -> None:
    """A plain answer says why it ended, in every shape, also when the middle of it was not kept."""
    windows = (65536, 16384)
    if is_cut:
        begin = {name: value for name, value in answer.items() if name not in ("candidates", "choices", "done_reason")}
        middle = {"output": [{"type": "message", "status": "completed", "text": "x" * 4000}], "text": "y" * 4000}
        answer, windows = begin | middle | answer | {"output": middle["output"]}, (1024, 1024)
    record = record_of(path, CHAT, answer, windows=windows)
    assert record.stream is not None
    assert (record.stream.frames, record.stream.finish_reason) == (None, reason)


STREAMS = {
    "usage chunk without choices": [
        chunk("a", usage=None), chunk(None, "stop", usage=None), chunk(choices=[], usage=CHAT_USAGE),
    ],
    "vllm: null choices": [chunk("a"), chunk(None, "stop"), chunk(choices=None, usage=CHAT_USAGE)],
    "continuous, last wins": [
        chunk("a", usage={"prompt_tokens": 19, "completion_tokens": 1}), chunk(None, "stop", usage=CHAT_USAGE),
    ],
    "llama-server: on the finishing chunk": [chunk("a"), chunk(None, "stop", usage=CHAT_USAGE)],
    "groq": [chunk("a"), chunk(None, "stop", x_groq={"id": "req_1", "usage": CHAT_USAGE})],
}  # fmt: skip


@pytest.mark.parametrize("kind", STREAMS)
def test_chat_stream_with_usage(kind: str) -> None:
    """Any chunk with an object `usage` counts, wherever a server puts it."""
    answer = sse(chunk("", None), *STREAMS[kind], "[DONE]")
    record = record_of("/v1/chat/completions", CHAT | {"stream": True}, answer, content_type="text/event-stream")
    assert facts_of(record) == ("openai", "gpt-4o", "gpt-4o-2024-08-06", 19, 10, 8, None, 4)
    assert record.usage_state == "exact"
    assert record.stream is not None
    assert (record.stream.finished, record.stream.frames, record.stream.finish_reason) == (
        True, 2 + len(STREAMS[kind]), "stop",
    )  # fmt: skip


def test_chat_stream_without_usage() -> None:
    """Nothing is guessed: the counts are null, and said to be absent."""
    answer = sse(chunk("a"), chunk(None, "stop"), "[DONE]")
    record = record_of("/v1/chat/completions", CHAT, answer, content_type="text/event-stream")
    assert facts_of(record)[3:] == (None,) * 5
    assert record.usage_state == "absent"


RESPONSES_USAGE = {
    "input_tokens": 36, "output_tokens": 87, "total_tokens": 123,
    "input_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 2},
    "output_tokens_details": {"reasoning_tokens": 64},
}  # fmt: skip


def response_object(status: str, **more: Any) -> dict[str, Any]:
    """An object of the responses API."""
    return {"object": "response", "model": "o4-mini-2025-04-16", "status": status, "error": None, "usage": None} | more


@pytest.mark.parametrize(
    ("kind", "more", "error", "reason"),
    [
        ("completed", {}, None, "completed"),
        ("incomplete", {"incomplete_details": {"reason": "max_output_tokens"}}, None, "max_output_tokens"),
        ("failed", {"error": {"code": "server_error", "message": "x"}}, "server_error", "failed"),
    ],
)
def test_responses_stream(kind: str, more: dict[str, Any], error: str | None, reason: str) -> None:
    """Counts, reason and error sit under `response` in the last event."""
    answer = named(
        {"type": "response.created", "response": response_object("in_progress")},
        {"type": "response.output_text.delta", "delta": "hello"},
        {"type": f"response.{kind}", "response": response_object(kind, usage=RESPONSES_USAGE, **more)},
    )
    record = record_of("/v1/responses", {"model": "o4-mini", "input": "x"}, answer, content_type="text/event-stream")
    assert facts_of(record) == ("openai", "o4-mini", "o4-mini-2025-04-16", 36, 87, 30, 2, 64)
    assert (record.error_type, record.status, record.usage_state) == (error, 200, "exact")
    assert record.stream is not None
    assert (record.stream.finish_reason, record.stream.end) == (reason, "error" if error else "complete")


def test_responses_error_event() -> None:
    """An error event has its code at the top."""
    answer = named({"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": None})
    record = record_of("/v1/responses", {"model": "o4-mini"}, answer, content_type="text/event-stream")
    assert (record.error_type, record.status) == ("rate_limit_exceeded", 200)


def test_responses_answer_and_embeddings_and_completions() -> None:
    """The plain answers of the other OpenAI paths; embeddings have no output."""
    answer = response_object("completed", usage=RESPONSES_USAGE)
    assert facts_of(record_of("/v1/responses", {"model": "o4-mini"}, answer))[3:5] == (36, 87)
    vectors = {
        "object": "list",
        "data": [{"embedding": [0.1] * 4000}],
        "model": "te-3",
        "usage": {"prompt_tokens": 8, "total_tokens": 8},
    }
    record = record_of("/v1/embeddings", {"model": "text-embedding-3", "input": "x"}, vectors, windows=(1000, 500))
    assert facts_of(record)[:5] == ("openai", "text-embedding-3", "te-3", 8, None)
    old = {
        "object": "text_completion",
        "model": "m",
        "choices": [{"text": "x", "finish_reason": "length"}],
        "usage": CHAT_USAGE,
    }
    assert facts_of(record_of("/v1/completions", {"model": "m", "prompt": "x"}, old))[3:5] == (19, 10)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"type": "requests", "code": "rate_limit_exceeded"}, "rate_limit_exceeded"),
        ({"type": "invalid_request_error", "code": "context_length_exceeded"}, "context_length_exceeded"),
        ({"type": "invalid_request_error", "code": "3230"}, "invalid_request_error"),
        ({"type": "invalid_request_error", "code": "No such model: x"}, "invalid_request_error"),
        ({"type": "requests", "code": None}, "requests"),
        ({"type": None, "code": "content_filter"}, "content_filter"),
        ({"code": 502, "message": "provider returned error"}, "502"),
        ({"message": "x"}, None),
        ("plain text", None),
    ],
)
def test_openai_errors(error: object, expected: str | None) -> None:
    """A code that is a name, else the type, else any code, else the status; in an answer and inside a stream."""
    record = record_of("/v1/chat/completions", CHAT, {"error": error}, status=429)
    assert (record.error_type, record.model, record.usage_state) == (expected or "http_429", "gpt-4o", "absent")
    answer = b": OPENROUTER PROCESSING\n\n" + sse(chunk("a"), {"error": error})
    record = record_of("/v1/chat/completions", CHAT, answer, content_type="text/event-stream")
    assert (record.error_type, record.status) == (expected or "error", 200)
    assert record.stream is not None
    assert (record.stream.end, record.stream.finished) == ("error", False)


def test_azure_and_openrouter() -> None:
    """Azure has the deployment in the path and the model in a later chunk; OpenRouter reports the cost."""
    filters = {"model": "", "choices": [], "prompt_filter_results": [{}]}
    answer = sse(filters, chunk("a"), chunk(None, "stop"), "[DONE]")
    path = "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"
    record = record_of(path, {"messages": []}, answer, content_type="text/event-stream")
    assert facts_of(record)[:3] == ("azure", "my-gpt", "gpt-4o-2024-08-06")
    routed = CHAT_ANSWER | {"usage": CHAT_USAGE | {"cost": 0.00014}}
    record = record_of("/api/v1/chat/completions", CHAT, routed, upstream="openrouter.ai:443")
    assert (record.provider, record.cost_usd, record.price_source) == ("openrouter", 0.00014, "reported")


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_custom_tool_is_one_like_a_function(is_streamed: bool) -> None:
    """Its name stands beside its input, which is text: https://platform.openai.com/docs/api-reference/chat/create"""
    calls = [
        {"index": 0, "id": "call_1", "type": "custom", "custom": {"name": "run_sql", "input": "select 1"}},
        {"index": 1, "id": "call_2", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
    ]
    said, reason = {"role": "assistant", "tool_calls": calls}, "tool_calls"
    if is_streamed:
        begun = chunk(choices=[{"index": 0, "delta": said, "finish_reason": None}])
        answer = sse(begun, chunk(None, reason), "[DONE]")
        record = record_of("/v1/chat/completions", CHAT, answer, content_type="text/event-stream")
    else:
        choice = {"index": 0, "message": said, "finish_reason": reason}
        record = record_of("/v1/chat/completions", CHAT, CHAT_ANSWER | {"choices": [choice]})
    assert record.stream is not None
    assert record.stream.tools == ["run_sql", "weather"]


def item(kind: str, action: str | None = None) -> dict[str, Any]:
    """An item of a response's output that the provider's own tools made."""
    return {"type": kind, "status": "completed"} | ({} if action is None else {"action": {"type": action}})


OUTPUT = [
    item("web_search_call", "search"), item("web_search_call", "open_page"), item("web_search_call", "find_in_page"),
    item("web_search_call", "search"), item("file_search_call"), item("image_generation_call"),
    item("code_interpreter_call"), item("x_search_call"),
]  # fmt: skip
PAID = {"web_searches": 2, "file_searches": 1, "image_generations": 1, "code_interpreter_calls": 1, "x_searches": 1}


@pytest.mark.parametrize("kind", ["document", "stream", "without its end"])
def test_tools_of_the_provider_are_paid_by_what_they_did(kind: str) -> None:
    """A page that is opened is no search; of images, code and X the list has no price."""
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
        assert record.stream.cost_lacks == ["image_generations", "code_interpreter_calls", "x_searches"]


def test_a_search_that_was_none_after_all() -> None:
    """What the last event says counts."""
    opened = item("web_search_call", "open_page")
    end = {"object": "response", "status": "completed", "output": [opened], "usage": {"input_tokens": 1}}
    answer = named(
        {"type": "response.output_item.done", "item": item("web_search_call")},
        {"type": "response.completed", "response": end},
    )
    record = record_of("/v1/responses", {"model": "m", "input": "hi"}, answer, content_type="text/event-stream")
    assert record.stream is not None
    assert record.stream.meters is None


FORM = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\n'
OF_FORM: dict[str, Any] = {"request_headers": "Content-Type: multipart/form-data; boundary=b\r\n"}


def test_a_part_of_a_second_is_paid() -> None:
    """As a whole one."""
    answer = {"text": "hi", "usage": {"type": "duration", "seconds": 9.4}}
    record = record_of("/v1/audio/transcriptions", FORM, answer, **OF_FORM)
    assert record.stream is not None
    assert record.stream.meters == {"audio_seconds": 10}


def test_an_image_that_is_longer_than_what_is_kept() -> None:
    """Its last event has the counts behind the data, and its name before them."""
    usage = {"total_tokens": 100, "input_tokens": 50, "output_tokens": 50}
    end = {"type": "image_generation.completed", "b64_json": "A" * 9000, "output_format": "png", "usage": usage}
    answer = named({"type": "image_generation.partial_image", "b64_json": "A" * 9000, "output_format": "png"}, end)
    asked = {"model": "gpt-image-1", "prompt": "a sheep", "stream": True}
    more: dict[str, Any] = {"content_type": "text/event-stream", "windows": (2000, 1000)}
    record = record_of("/v1/images/generations", asked, answer, **more)
    assert (record.input_tokens, record.output_tokens, record.usage_state) == (50, 50, "exact")
    assert record.stream is not None
    assert record.stream.end == "complete"


@pytest.mark.parametrize(
    ("model", "meters", "lacks"),
    [
        ("gpt-4o-search-preview-2025-03-11", {"web_searches": 1}, ["web_searches"]),
        ("gpt-5-search-api", {"web_searches": 1}, ["web_searches"]),
        ("gpt-4o-mini-search-preview", {"web_searches": 1}, None),
        ("gpt-4o", None, None),
    ],
)
def test_a_model_that_searches_is_paid_for_it(
    model: str, meters: dict[str, int] | None, lacks: list[str] | None
) -> None:
    """Once an answer, beside its tokens; where the list has no price of that, the cost is partial."""
    record = record_of("/v1/chat/completions", CHAT | {"model": model}, CHAT_ANSWER | {"model": model})
    found = (None, None) if record.stream is None else (record.stream.meters, record.stream.cost_lacks)
    assert found == (meters, lacks)
    assert record.price_source == ("genai-prices" if lacks is None else "genai-prices, partial")
