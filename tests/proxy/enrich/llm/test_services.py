"""Calls of services that speak OpenAI's words and add their own, and of Ollama in its own."""

import json

from tests.proxy.enrich.calls import CHAT, CHAT_ANSWER, chunk, facts_of, record_of, sse


def test_ollama() -> None:
    """Lines of JSON by default; the last one has the counts; a cached prompt has none."""
    lines = [
        {"model": "llama3.2", "message": {"role": "assistant", "content": word}, "done": False}
        for word in "ab"
    ]
    last = {
        "model": "llama3.2",
        "done": True,
        "done_reason": "stop",
        "total_duration": 5_000_000_000,
        "prompt_eval_count": 26,
        "eval_count": 298,
    }
    answer = b"".join(json.dumps(line).encode() + b"\n" for line in [*lines, last])
    record = record_of(
        "/api/chat", CHAT | {"model": "llama3.2"}, answer, content_type="application/x-ndjson"
    )
    assert facts_of(record)[:5] == ("ollama", "llama3.2", "llama3.2", 26, 298)
    assert record.stream is not None
    assert (record.stream.finished, record.stream.frames) == (True, 3)
    plain = {
        "model": "llama3.2",
        "response": "x",
        "done": True,
        "context": [1] * 3000,
        "eval_count": 7,
    }
    record = record_of(
        "/api/generate", {"model": "llama3.2", "prompt": "a"}, plain, windows=(500, 200)
    )
    assert (record.input_tokens, record.output_tokens) == (None, 7)
    record = record_of(
        "/api/embed", {"model": "nope", "input": "a"}, {"error": "model not found"}, status=404
    )
    assert (record.error_type, record.model) == ("http_404", "nope")


def test_an_error_of_a_choice_is_one_of_the_call() -> None:
    """As OpenRouter reports that a provider failed, with a status of 200."""
    choice = {
        "finish_reason": "error",
        "message": {"content": ""},
        "error": {"code": 502, "message": "no"},
    }
    record = record_of("/api/v1/chat/completions", CHAT, CHAT_ANSWER | {"choices": [choice]})
    assert (record.error_type, record.level, record.usage_state) == ("502", "error", "exact")


def test_a_cost_in_the_head() -> None:
    """A LiteLLM proxy knows what its models cost, but not while a stream still runs."""
    path = "/chat/completions"
    answer = CHAT_ANSWER | {"model": "own"}
    fields = "x-litellm-response-cost: 1.5e-05\r\n"
    record = record_of(path, CHAT | {"model": "own"}, answer, response_headers=fields)
    assert (record.cost_usd, record.price_source, record.usage_state) == (
        1.5e-05,
        "reported",
        "exact",
    )

    for strange in ("None", "1.2.3", "1e999"):
        fields = f"x-litellm-response-cost: {strange}\r\n"
        assert (
            record_of(path, CHAT | {"model": "own"}, answer, response_headers=fields).cost_usd
            is None
        )

    stream = sse(CHAT_ANSWER | {"model": "own"}, "[DONE]")
    fields = "x-litellm-response-cost: 0.0\r\n"
    record = record_of(
        path,
        CHAT | {"model": "own"},
        stream,
        response_headers=fields,
        content_type="text/event-stream",
    )
    assert (record.usage_state, record.cost_usd) == ("exact", None)


def test_a_page_is_no_answer_of_a_model() -> None:
    """Of a portal or a challenge in front of the API; a status of its own says enough."""
    for status, wanted in ((200, ("html_response", "error")), (502, ("http_502", "error"))):
        page = record_of(
            "/v1/chat/completions", CHAT, b"<html>", content_type="text/html", status=status
        )
        assert (page.error_type, page.level, page.model) == (*wanted, "gpt-4o")


def test_a_reason_ends_a_stream_and_no_event_cuts_it() -> None:
    """Perplexity sends no terminator; of others, comments alone are no answer."""
    for answer, wanted in (
        (sse(chunk("a"), chunk(reason="stop")), (None, "info", "complete")),
        (sse(chunk("a")), ("stream_cut", "error", "cut")),
        (b": waiting\n\n", ("stream_cut", "error", "cut")),
    ):
        record = record_of(
            "/chat/completions", CHAT | {"stream": True}, answer, content_type="text/event-stream"
        )
        assert (record.error_type, record.level, record.stream and record.stream.end) == wanted
