"""What is a call and what is none: path and bodies must agree, and no application's own API is
taken for one.
"""

from typing import Any

from proxy.enrich.llm.recognise import _SUFFIXES, PROVIDERS, candidate_of
from proxy.ring.capture_windows import CaptureWindows
from tests.proxy.enrich.calls import (
    ANTHROPIC,
    CHAT,
    CHAT_ANSWER,
    CHAT_USAGE,
    facts_of,
    record_of,
    sse,
)
from tests.support.cases import each_of

MESSAGE = {
    "type": "message",
    "model": "c",
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 2},
}
RESPONSE = {
    "object": "response",
    "model": "gpt-5",
    "status": "completed",
    "usage": {"input_tokens": 1},
}
GENERATED = {
    "candidates": [{"finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 5},
    "modelVersion": "g",
}
INPUT = {"model": "m", "input": "x"}
VERTEX = "/v1/projects/p/locations/l/publishers/anthropic/models"
CALLS: list[tuple[str, Any, Any, str, str]] = [
    # DeepSeek, Perplexity and Copilot have no /v1: https://api-docs.deepseek.com,
    # https://docs.perplexity.ai
    ("/chat/completions", CHAT, CHAT_ANSWER, "openai", "gpt-4o"),
    # https://docs.github.com/en/rest/models/inference
    ("/models/chat/completions", CHAT, CHAT_ANSWER, "openai", "gpt-4o"),
    ("/inference/chat/completions", CHAT, CHAT_ANSWER, "openai", "gpt-4o"),
    # As servers that unescape a path read it.
    ("/v1/chat/completion%73", CHAT, CHAT_ANSWER, "openai", "gpt-4o"),
    ("/v1%2Fchat/completions/", CHAT, CHAT_ANSWER, "openai", "gpt-4o"),
    ("/v1/message%73", ANTHROPIC, MESSAGE, "anthropic", "claude-sonnet-4-5"),
    ("/some/prefix/v1/chat/completions", CHAT, CHAT_ANSWER, "openai", "gpt-4o"),
    ("/api/v0/chat/completions", CHAT, CHAT_ANSWER, "openai", "gpt-4o"),  # LM Studio
    ("/v1beta/openai/chat/completions", CHAT, CHAT_ANSWER, "openai", "gpt-4o"),  # Gemini, as OpenAI
    ("/v1/projects/p/locations/l/endpoints/openapi/chat/completions", CHAT, CHAT_ANSWER, "openai", "gpt-4o"),
    ("/backend-api/codex/responses", INPUT, RESPONSE, "openai", "m"),
    ("/v1/responses/compact", INPUT, RESPONSE, "openai", "m"),
    ("/v1/moderations", {"input": "x"}, {"id": "modr-1", "model": "omni", "results": []}, "openai", "omni"),
    ("/v1/fim/completions", {"model": "codestral", "prompt": "a", "suffix": "b"}, CHAT_ANSWER, "openai", "codestral"),
    ("/v1/images/generations", {"model": "gpt-image-1", "prompt": "x"}, {"data": []}, "openai", "gpt-image-1"),
    ("/v1/audio/speech", {"model": "tts-1", "input": "x", "voice": "a"}, b"RIFF", "openai", "tts-1"),
    ("/prefix/v1/messages", ANTHROPIC, MESSAGE, "anthropic", "claude-sonnet-4-5"),
    # https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude
    (
        f"{VERTEX}/claude-opus:rawPredict",
        {"anthropic_version": "vertex-2023-10-16", "messages": []}, MESSAGE, "anthropic", "claude-opus",
    ),
    (
        "/v1/projects/p/locations/l/publishers/google/models/gemini-x:generateContent",
        {"contents": []}, GENERATED, "gemini", "gemini-x",
    ),
    # Gemini CLI: the model is in the body, the response under `response`
    (
        "/v1internal:generateContent",
        {"model": "gemini-x", "request": {"contents": []}}, {"response": GENERATED}, "gemini", "gemini-x",
    ),
]  # fmt: skip


@each_of(("path", "body", "answer", "provider", "model"), CALLS)
def test_calls_are_recognised_without_configuration(
    path: str, body: object, answer: object, provider: str, model: str
) -> None:
    """Every provider's own paths, with any prefix."""
    record = record_of(path, body, answer)
    assert (record.provider, record.model) == (provider, model)
    assert record.usage_state == ("exact" if record.input_tokens is not None else "absent")


OTHERS: list[tuple[str, Any, Any]] = [
    (
        "/api/chat",
        {"messages": [{"role": "user", "parts": []}], "id": "x"},
        b'data: {"type":"text-delta"}\n\n',
    ),
    ("/api/chat", CHAT, {"ok": True}),
    ("/api/generate", {"prompt": "an image"}, {"url": "/1.png"}),
    ("/surveys/1/responses", {"model": "x", "input": "y"}, {"id": 5}),
    ("/surveys/1/responses", CHAT, CHAT_ANSWER),
    ("/rooms/1/messages", {"model": "x", "messages": ["hi"]}, MESSAGE),
    ("/v1/messages/count_tokens", ANTHROPIC, {"input_tokens": 5}),
    (f"{VERTEX}/count-tokens:rawPredict", ANTHROPIC, {"input_tokens": 5}),
    ("/v1beta/models/g:countTokens", {"contents": []}, {"totalTokens": 5}),
    ("/v1/responses/resp_1/cancel", {"model": "x", "input": "y"}, RESPONSE),
    (
        "/v1/batches",
        {"input_file_id": "f", "endpoint": "/v1/chat/completions", "model": "m"},
        {"object": "batch"},
    ),
    (
        "/v1/files",
        b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n{"model": "gpt"}\r\n--x--',
        {"id": "f"},
    ),
    ("/v1/completions", {"completions": 1}, {"object": "list"}),
    ("/embeddings", {"input": "x"}, {"vectors": 1}),
]


@each_of(("path", "body", "answer"), OTHERS)
def test_what_is_like_a_call_is_none(path: str, body: object, answer: object) -> None:
    """An application's own path, what counts, cancels, uploads or begins a batch."""
    record = record_of(path, body, answer)
    assert facts_of(record) == (None,) * 8
    assert (record.usage_state, record.stream) == (None, None)


@each_of(
    ("path", "body"),
    [
        ("/v1/messages/count_tokens", ANTHROPIC),
        (f"{VERTEX}/count-tokens:rawPredict", ANTHROPIC),
        ("/v1/messages/batches", {"requests": [], "model": "m"}),
        ("/v1/messages/batches/b/cancel", {"model": "m"}),
        ("/v1/files", {"model": "m"}),
    ],
)
def test_a_route_that_names_its_provider_has_other_paths_too(path: str, body: object) -> None:
    """To create, count or cancel is no call, whatever the route's setting."""
    assert (
        record_of(
            path, body, {"id": 1, "usage": {"input_tokens": 5}}, route={"provider": "anthropic"}
        ).model
        is None
    )


def test_the_model_is_that_of_the_call() -> None:
    """The model is never read from a tool's argument or a message, wherever the windows end."""
    schema = {"properties": {"model": {"enum": ["haiku"]}}}
    tool = {"name": "agent", "input_schema": schema, "defaults": {"model": "haiku"}}
    body = {
        "tools": [tool] * 40,
        "messages": [{"content": "x" * 9000}],
        "max_tokens": 5,
        "model": "opus",
    }
    answer = {
        "type": "message",
        "model": "opus-1",
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }
    for windows in ((1000, 500), (6000, 20), (100_000, 0)):
        record = record_of("/v1/messages", body, answer, windows=windows)
        assert record.model == "opus"
    record = record_of("/v1/messages", body, answer, windows=(1000, 5))
    assert record.model == "opus-1"


def test_the_model_of_a_multipart_request() -> None:
    """Transcriptions and image edits name it in a part:
    https://platform.openai.com/docs/api-reference/audio.
    """
    part = b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    body = part % (b"file", b"RIFF" * 5000) + part % (b"model", b"gpt-4o-transcribe") + b"--x--\r\n"
    usage = {
        "type": "tokens",
        "input_tokens": 14,
        "input_token_details": {"audio_tokens": 14},
        "output_tokens": 45,
    }
    record = record_of(
        "/v1/audio/transcriptions", body, {"text": "hello", "usage": usage}, windows=(4000, 1000),
        request_headers="Content-Type: multipart/form-data; boundary=x\r\n",
    )  # fmt: skip
    assert facts_of(record)[:5] == ("openai", "gpt-4o-transcribe", None, 14, 45)
    assert record.stream is not None
    assert record.stream.meters == {"input_audio_tokens": 14}


def test_routes_and_methods() -> None:
    """A setting names the provider, `none` and `mcp` none; only POST calls."""
    assert candidate_of("anthropic", "POST", "/x") is PROVIDERS["anthropic"]
    for setting, method in (("none", "POST"), ("mcp", "POST"), ("auto", "GET"), ("openai", "PUT")):
        assert candidate_of(setting, method, "/v1/chat/completions") is None
    chunk = {"choices": [], "usage": CHAT_USAGE, "model": "m"}
    assert record_of("/llm", CHAT, chunk, route={"provider": "openai"}).input_tokens == 19


def test_history_with_half_a_character() -> None:
    """A refused call is a call, with the model of its request."""
    refusal = {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "no low surrogate in string"},
    }
    body = ANTHROPIC | {"messages": [{"role": "user", "content": "cut \ud83d"}]}
    record = record_of("/v1/messages", body, refusal, status=400)
    assert (record.provider, record.model) == ("anthropic", "claude-sonnet-4-5")
    assert (record.error_type, record.usage_state) == ("invalid_request_error", "absent")


OPENAI_ANSWER = {
    "object": "chat.completion",
    "model": "m",
    "choices": [{"finish_reason": "stop"}],
} | {"usage": {"prompt_tokens": 7, "completion_tokens": 3}}
ANTHROPIC_ANSWER = {"type": "message", "model": "claude-sonnet-4-5", "stop_reason": "end_turn"} | {
    "usage": {"input_tokens": 100, "cache_read_input_tokens": 9900, "output_tokens": 3}
}
OLLAMA_ANSWER = {
    "model": "m",
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 7,
    "eval_count": 3,
}
GEMINI_ANSWER = {"modelVersion": "m", "candidates": [{"finishReason": "STOP"}]} | {
    "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3}
}
CHAT_PATH, MESSAGES_PATH = "/v1/chat/completions", "/v1/messages"


@each_of(
    ("setting", "path", "answer", "facts"),
    [
        ("ollama", CHAT_PATH, OPENAI_ANSWER, ("ollama", 7, 3)),
        ("ollama", MESSAGES_PATH, ANTHROPIC_ANSWER, ("ollama", 10_000, 3)),
        ("llama.cpp", MESSAGES_PATH, ANTHROPIC_ANSWER, ("llama.cpp", 10_000, 3)),
        ("openai", MESSAGES_PATH, ANTHROPIC_ANSWER, ("anthropic", 10_000, 3)),
        ("openai", "/api/chat", OLLAMA_ANSWER, ("ollama", 7, 3)),
        ("openai", "/v1beta/models/m:generateContent", GEMINI_ANSWER, ("gemini", 7, 3)),
        ("anthropic", CHAT_PATH, OPENAI_ANSWER, ("anthropic", 7, 3)),
        ("gemini", "/v1beta/openai/chat/completions", OPENAI_ANSWER, ("gemini", 7, 3)),
        ("cohere", "/compatibility/v1/chat/completions", OPENAI_ANSWER, ("cohere", 7, 3)),
        ("bedrock", "/openai/v1/chat/completions", OPENAI_ANSWER, ("bedrock", 7, 3)),
        ("ollama", "/my/own/path", OLLAMA_ANSWER, ("ollama", 7, 3)),
        ("openai", "/my/own/path", OPENAI_ANSWER, ("openai", 7, 3)),
    ],
)
def test_the_path_decides_on_a_route_that_names_its_provider(
    setting: str, path: str, answer: dict[str, Any], facts: tuple[str, int, int]
) -> None:
    """One server speaks several APIs; the route says whose the call is, unless it says OpenAI, whom
    all others copy.
    """
    record = record_of(path, CHAT, answer, route={"provider": setting}, upstream="10.0.0.7:8000")
    assert (record.provider, record.input_tokens, record.output_tokens) == facts
    assert record.usage_state == "exact"


def test_a_stream_of_another_api_on_such_a_route_ends_as_it_ended() -> None:
    """OpenAI's events on a route to Ollama."""
    answer = sse({"model": "m", "choices": [{"delta": {"content": "a"}}]}, OPENAI_ANSWER, "[DONE]")
    record = record_of(
        CHAT_PATH, CHAT, answer, route={"provider": "ollama"}, content_type="text/event-stream"
    )
    assert record.stream is not None
    assert (record.input_tokens, record.stream.end, record.error_type) == (7, "complete", None)


@each_of("end", [end for end in _SUFFIXES if end.startswith("/") and end != "/restart"])
def test_a_path_that_is_read_as_a_call_is_captured_as_one(end: str) -> None:
    """A coded response can be read only where all of it was copied."""
    assert CaptureWindows.is_call(b"POST /v1%b HTTP/1.1\r\n" % end.encode())
    assert CaptureWindows.is_call(b"POST /v1/conversations/c/restart HTTP/1.1\r\n")
