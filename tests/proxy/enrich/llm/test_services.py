"""Calls of services that speak OpenAI's words and add their own, and of Ollama in its own."""

import json
from typing import Any

import pytest

from proxy.enrich.llm import ollama
from proxy.enrich.llm.call import CallUsage
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

FORM = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\n'
OF_FORM: dict[str, Any] = {"request_headers": "Content-Type: multipart/form-data; boundary=b\r\n"}


def test_ollama() -> None:
    """Lines of JSON by default; the last one has the counts; a cached prompt has none."""
    lines = [{"model": "llama3.2", "message": {"role": "assistant", "content": word}, "done": False} for word in "ab"]
    last = {
        "model": "llama3.2",
        "done": True,
        "done_reason": "stop",
        "total_duration": 5_000_000_000,
        "prompt_eval_count": 26,
        "eval_count": 298,
    }
    answer = b"".join(json.dumps(line).encode() + b"\n" for line in [*lines, last])
    record = record_of("/api/chat", CHAT | {"model": "llama3.2"}, answer, content_type="application/x-ndjson")
    assert facts_of(record)[:5] == ("ollama", "llama3.2", "llama3.2", 26, 298)
    assert record.stream is not None
    assert (record.stream.finished, record.stream.frames) == (True, 3)
    plain = {"model": "llama3.2", "response": "x", "done": True, "context": [1] * 3000, "eval_count": 7}
    record = record_of("/api/generate", {"model": "llama3.2", "prompt": "a"}, plain, windows=(500, 200))
    assert (record.input_tokens, record.output_tokens) == (None, 7)
    record = record_of("/api/embed", {"model": "nope", "input": "a"}, {"error": "model not found"}, status=404)
    assert (record.error_type, record.model) == ("http_404", "nope")


def test_what_xai_charged() -> None:
    """In ticks, of which a dollar has ten thousand million."""
    answer = CHAT_ANSWER | {"usage": CHAT_USAGE | {"cost_in_usd_ticks": 37756000}}
    record = record_of("/v1/chat/completions", CHAT, answer)
    assert record.cost_usd == pytest.approx(0.0037756)
    assert record.price_source == "reported"


def test_what_is_strange_of_ollama_counts_nothing() -> None:
    """It is read as far as it has the shape."""
    for raw in (b"[]", b'{"done": "true", "eval_count": -1}', b'{"message": {"tool_calls": 5}}'):
        usage = CallUsage()
        ollama.read(usage, raw)
        assert (usage.has_usage, usage.is_finished, usage.tools) == (False, False, {})


@pytest.mark.parametrize(("said", "expected"), [("over_capacity", "over_capacity"), ("It broke.", "error")])
def test_groq_stops_early(said: str, expected: str) -> None:
    """Why stands where its counts are, in a stream that ends like others."""
    stopped = {"object": "chat.completion.chunk", "choices": [], "x_groq": {"id": "req_1", "error": said}}
    answer = sse(chunk("a"), stopped, "[DONE]")
    record = record_of("/v1/chat/completions", CHAT, answer, content_type="text/event-stream")
    assert (record.error_type, record.level) == (expected, "error")


def test_a_transcription_of_mistral_is_complete() -> None:
    """Its stream ends with an event of its own."""
    usage = {"prompt_tokens": 4, "completion_tokens": 35, "total_tokens": 635, "prompt_audio_seconds": 65}
    answer = named(
        {"type": "transcription.text.delta", "text": "hi"},
        {"type": "transcription.done", "model": "voxtral-mini-2507", "text": "hi", "usage": usage},
    )
    record = record_of("/v1/audio/transcriptions", FORM, answer, content_type="text/event-stream", **OF_FORM)
    assert (record.input_tokens, record.usage_state) == (4, "exact")
    assert record.stream is not None
    assert record.stream.end == "complete"


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("api.voyageai.com", "voyageai"), ("api.together.ai", "together"), ("api.moonshot.ai", "moonshotai"),
        ("bedrock-mantle.us-east-1.api.aws", "bedrock"), ("bedrock-runtime.eu-west-1.amazonaws.com", "bedrock"),
        ("bedrock-mantle.us-east-1.api.aws.evil.test", "openai"),
    ],
)  # fmt: skip
def test_who_speaks_alike_has_a_name(host: str, provider: str) -> None:
    """And where only a total is told, as of embeddings, it is the input."""
    answer = {"object": "list", "data": [], "model": "voyage-3.5", "usage": {"total_tokens": 10}}
    asked = {"model": "voyage-3.5", "input": ["hi"]}
    record = record_of("/v1/embeddings", asked, answer, upstream=f"{host}:443")
    assert (record.provider, record.input_tokens, record.output_tokens) == (provider, 10, None)


def test_pages_that_mistral_has_read() -> None:
    """They are paid by the page: https://docs.mistral.ai/api/endpoint/ocr"""
    asked = {"model": "mistral-ocr-latest", "document": {"type": "document_url", "document_url": "https://a.test"}}
    answer = {"pages": [], "model": "mistral-ocr-2512", "usage_info": {"pages_processed": 3, "doc_size_bytes": 7}}
    record = record_of("/v1/ocr", asked, answer, upstream="api.mistral.ai:443")
    assert (record.provider, record.resolved_model, record.input_tokens) == ("mistral", "mistral-ocr-2512", None)
    assert record.stream is not None
    assert record.stream.meters == {"document_pages": 3}
    assert record.cost_usd == pytest.approx(3 * 0.002)
    assert record_of("/v1/ocr", {"image": 1}, answer).provider is None


@pytest.mark.parametrize("path", ["/v1/conversations", "/v1/conversations/conv_1", "/v1/conversations/conv_1/restart"])
@pytest.mark.parametrize("is_stream", [False, True])
def test_a_conversation_of_mistral(path: str, *, is_stream: bool) -> None:
    """What its own tools found is input; a function that is called is a tool."""
    usage = {
        "prompt_tokens": 188, "completion_tokens": 55, "total_tokens": 7355, "connector_tokens": 7112,
        "connectors": {"web_search": 2},
    }  # fmt: skip
    made = {"type": "function.call", "tool_call_id": "1", "name": "weather", "arguments": "{}"}
    answer: object = {
        "object": "conversation.response", "conversation_id": "conv_1", "outputs": [made], "usage": usage
    }  # fmt: skip
    kind = "application/json"
    if is_stream:
        begun = {"type": "conversation.response.started", "conversation_id": "conv_1"}
        call = made | {"type": "function.call.delta"}
        answer = named(begun, call, {"type": "conversation.response.done", "usage": usage})
        kind = "text/event-stream"
    asked = {"model": "mistral-medium-latest", "inputs": "hi", "stream": is_stream}
    record = record_of(path, asked, answer, content_type=kind)
    assert (record.model, record.input_tokens, record.output_tokens) == ("mistral-medium-latest", 7300, 55)
    assert record.usage_state == "exact"
    assert record.stream is not None
    assert (record.stream.tools, record.stream.meters) == (["weather"], {"web_searches": 2})


def test_conversations_that_are_no_calls() -> None:
    """OpenAI's keep items, and others' are of people."""
    made = {"id": "conv_1", "object": "conversation", "metadata": {}}
    for path in ("/v1/conversations", "/v1/conversations/conv_1", "/v1/conversations/conv_1/items"):
        assert record_of(path, {"items": [], "metadata": {}}, made).provider is None
    assert record_of("/api/conversations/5", {"inputs": ["hi"]}, {"object": "x", "data": []}).provider is None
    failed = named({"type": "conversation.response.error", "code": 3000, "message": "sorry"})
    record = record_of("/v1/conversations", {"inputs": "hi", "model": "m"}, failed, content_type="text/event-stream")
    assert (record.error_type, record.level) == ("3000", "error")


@pytest.mark.parametrize(("is_byok", "usd"), [(True, 0.00294), (False, 0.00014)])
def test_what_openrouter_charged(*, is_byok: bool, usd: float) -> None:
    """Of a caller's own key its fee alone, beside what the provider of the key will charge."""
    cost = {"cost": 0.00014, "is_byok": is_byok, "cost_details": {"upstream_inference_cost": 0.0028}}
    record = record_of("/api/v1/chat/completions", CHAT, CHAT_ANSWER | {"usage": CHAT_USAGE | cost})
    assert record.cost_usd == pytest.approx(usd)
    assert record.price_source == "reported"


@pytest.mark.parametrize(
    ("path", "host", "model"),
    [
        ("/v1beta/openai/chat/completions", "generativelanguage.googleapis.com", "gemini-2.5-flash"),
        (
            "/v1/projects/p/locations/l/endpoints/openapi/chat/completions", "us-east5-aiplatform.googleapis.com",
            "google/gemini-2.5-flash",
        ),
    ],
)  # fmt: skip
def test_gemini_in_the_words_of_openai(path: str, host: str, model: str) -> None:
    """It is Google's, has its price, and what it thought is output that only the total tells."""
    usage = {"prompt_tokens": 20, "completion_tokens": 424, "total_tokens": 1016}
    answer = CHAT_ANSWER | {"model": model, "usage": usage}
    record = record_of(path, CHAT | {"model": model}, answer, upstream=f"{host}:443")
    assert (record.provider, record.model) == ("gemini", model)
    assert (record.input_tokens, record.output_tokens) == (20, 996)
    assert record.cost_usd == pytest.approx((20 * 0.3 + 996 * 2.5) / 1e6)


def test_anthropic_in_the_words_of_openai() -> None:
    """It is Anthropic's, and has its price."""
    usage = {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29}
    answer = CHAT_ANSWER | {"model": "claude-sonnet-4-5-20250929", "usage": usage}
    record = record_of("/v1/chat/completions", CHAT, answer, upstream="api.anthropic.com:443")
    assert record.provider == "anthropic"
    assert record.cost_usd == pytest.approx((19 * 3 + 10 * 15) / 1e6)


def test_moonshot_counts_in_the_choice_that_ends_a_stream() -> None:
    """Where nobody asked for them behind it (issues of go-moonshot and higress)."""
    usage = {"prompt_tokens": 19, "completion_tokens": 13, "total_tokens": 32}
    last = {"object": "chat.completion.chunk", "model": "moonshot-v1-8k", "choices": [
        {"index": 0, "delta": {}, "finish_reason": "stop", "usage": usage}]}  # fmt: skip
    answer = sse(chunk("a"), last, "[DONE]")
    record = record_of(
        "/v1/chat/completions", CHAT, answer, content_type="text/event-stream", upstream="api.moonshot.ai:443"
    )
    assert (record.input_tokens, record.output_tokens, record.usage_state) == (19, 13, "exact")


def test_mistral_at_vertex() -> None:
    """It is Mistral's, at Google's."""
    path = "/v1/projects/p/locations/l/publishers/mistralai/models/codestral-2:rawPredict"
    record = record_of(path, CHAT, CHAT_ANSWER, upstream="us-central1-aiplatform.googleapis.com:443")
    assert record.provider == "mistral"


QUESTIONS = [{"type": "predicate", "name": "is_late", "instructions": "Is it late?"}]


DECIDED = {"answers": [{"type": "predicate", "name": "is_late", "probability": 0.9}]}


@pytest.mark.parametrize(
    ("path", "asked", "usage", "facts"),
    [
        (  # https://developers.openai.com/api/docs/guides/decisions
            "/v1/decisions", {"model": "gpt-6-luna", "input": "x"},
            {"input_tokens": 1000, "output_tokens": 7, "total_tokens": 1007},
            ("openai", "gpt-6-luna", 1000, 7, 1000 * 0.1e-6),
        ),
        (  # https://openrouter.ai/docs/client-sdks/python/components/decisionsresponse
            "/api/alpha/decisions", {"model": "gpt-6-luna", "state": "x"},
            {"input_tokens": 9, "output_tokens": 7, "cost": 0.5}, ("openai", "gpt-6-luna", 9, 7, 0.5),
        ),
        (  # https://googleapis.github.io/js-genai
            "/v1beta/decisions", {"model": "models/gemini-2.5-flash", "input": "x"},
            {"total_input_tokens": 1000, "total_output_tokens": 0},
            ("gemini", "models/gemini-2.5-flash", 1000, 0, 1000 * 0.3e-6),
        ),
    ],
)  # fmt: skip
def test_decisions(path: str, asked: dict[str, Any], usage: dict[str, Any], facts: tuple[Any, ...]) -> None:
    """Questions about one text, which OpenAI has a price of its own for; who else asks some is no model."""
    record = record_of(path, asked | {"questions": QUESTIONS}, DECIDED | {"usage": usage})
    assert (record.provider, record.model, record.input_tokens, record.output_tokens) == facts[:4]
    assert record.usage_state == "exact"
    assert record.cost_usd == pytest.approx(facts[4])
    assert record_of(path, asked, DECIDED | {"usage": usage}).provider is None
    assert record_of(path, {"questions": QUESTIONS}, DECIDED).provider is None
