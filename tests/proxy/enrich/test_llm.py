"""Models, counts, errors and streams, on the wire formats of the providers."""

import gzip
import json
from typing import Any

import pytest

from proxy.enrich.records import RecordBuilder
from storage.record import Outcome, Record
from tests.proxy.enrich.exchanges import exchange, settings, source

COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


def record_of(path: str, body: object, answer: object, *, route: dict[str, Any] | None = None, **more: Any) -> Record:
    """Build the record of an exchange whose bodies are JSON unless they are bytes."""
    given = settings(**(route or {}))
    raw = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (body, answer)]
    return RecordBuilder("i", given).build(exchange(path, raw[0], raw[1], **more), source(given)).record


def facts_of(record: Record) -> tuple[Any, ...]:
    """The columns that most tests are about."""
    return (record.provider, record.model, record.resolved_model, *(getattr(record, name) for name in COUNTS))


def sse(*documents: object) -> bytes:
    """Write documents as an event stream; text stands for itself."""
    frames = (part if isinstance(part, str) else json.dumps(part, separators=(",", ":")) for part in documents)
    return b"".join(f"data: {frame}\n\n".encode() for frame in frames)


def named(*documents: dict[str, Any]) -> bytes:
    """Write documents as an event stream with the names of their types."""
    return b"".join(f"event: {part['type']}\ndata: {json.dumps(part)}\n\n".encode() for part in documents)


CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
CHAT_USAGE = {
    "prompt_tokens": 19,
    "completion_tokens": 10,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 4, "accepted_prediction_tokens": 0},
}
CHAT_ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": CHAT_USAGE,
}


def chunk(content: str | None = None, reason: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk of a chat stream."""
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"object": "chat.completion.chunk", "model": "gpt-4o-2024-08-06", "choices": [choice]} | more


def test_chat_completion() -> None:
    """Model as asked and as served, counts with their details."""
    record = record_of("/v1/chat/completions", CHAT, CHAT_ANSWER)
    assert facts_of(record) == ("openai", "gpt-4o", "gpt-4o-2024-08-06", 19, 10, 8, None, 4)
    assert (record.usage_state, record.error_type) == ("complete", None)


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
    assert record.usage_state == "complete"
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


def test_cut_stream_is_partial() -> None:
    """The last counts seen are kept when a stream breaks off, and said to be partial."""
    answer = sse(chunk("a", usage={"prompt_tokens": 19, "completion_tokens": 1}), chunk("b"))
    record = record_of(
        "/v1/chat/completions", CHAT, answer, content_type="text/event-stream", outcome=Outcome.CLIENT_CLOSED
    )
    assert (record.input_tokens, record.output_tokens, record.usage_state) == (19, 1, "partial")
    assert record.stream is not None
    assert not record.stream.finished
    assert record.outcome == "client_closed"


def test_leaving_at_the_terminator_is_no_interruption() -> None:
    """A client that closes at `[DONE]` had everything."""
    answer = sse(chunk("a"), chunk(None, "stop"), "[DONE]")
    record = record_of(
        "/v1/chat/completions", CHAT, answer, content_type="text/event-stream", outcome=Outcome.CLIENT_CLOSED
    )
    assert (record.outcome, record.level) == ("ok", "info")


def test_usage_behind_a_missing_middle() -> None:
    """The tail window of a long stream has the counts; its first frame, cut, is passed over."""
    answer = sse(*[chunk("word " * 10)] * 1000, chunk(None, "stop"), chunk(choices=[], usage=CHAT_USAGE), "[DONE]")
    record = record_of("/v1/chat/completions", CHAT, answer, content_type="text/event-stream", windows=(4096, 2048))
    assert (record.input_tokens, record.usage_state, record.resolved_model) == (19, "complete", "gpt-4o-2024-08-06")
    long = CHAT_ANSWER | {
        "choices": [{"message": {"content": 'x "usage": {"prompt_tokens": 1} ' * 1000}, "finish_reason": "stop"}]
    }
    record = record_of("/v1/chat/completions", CHAT, long, windows=(4096, 2048))
    assert facts_of(record) == ("openai", "gpt-4o", "gpt-4o-2024-08-06", 19, 10, 8, None, 4)
    assert record.usage_state == "complete"


def test_usage_at_the_end_of_a_coded_stream() -> None:
    """A compressed answer is read as far as it was captured."""
    answer = gzip.compress(sse(chunk("a"), chunk(None, "stop"), chunk(choices=[], usage=CHAT_USAGE), "[DONE]"))
    record = record_of(
        "/v1/chat/completions", gzip.compress(json.dumps(CHAT).encode()), answer, content_type="text/event-stream",
        request_headers="Content-Encoding: gzip\r\n", response_headers="Content-Encoding: gzip\r\n",
    )  # fmt: skip
    assert (record.model, record.input_tokens, record.output_tokens) == ("gpt-4o", 19, 10)


def test_times_of_a_stream_come_from_the_timeline() -> None:
    """First content is when the chunk with its last byte came; the longest silence is between two chunks."""
    frames = [sse(chunk("", None)), sse(chunk("a")), sse(chunk("b")), sse("[DONE]")]
    ends = [sum(map(len, frames[: place + 1])) for place in range(4)]
    timeline = list(zip(ends, (1000, 5000, 90_000, 91_000), strict=True))
    record = record_of(
        "/v1/chat/completions", CHAT, b"".join(frames), content_type="text/event-stream", timeline=timeline
    )
    assert record.stream is not None
    assert (record.stream.first_content_us, record.stream.longest_gap_us, record.stream.frames) == (5000, 85_000, 4)


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
    assert (record.error_type, record.status, record.usage_state) == (error, 200, "complete")
    assert record.stream is not None
    assert (record.stream.finish_reason, record.stream.finished) == (reason, True)


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
        ({"type": "requests", "code": "rate_limit_exceeded"}, "requests"),
        ({"type": None, "code": "content_filter"}, "content_filter"),
        ({"code": 502, "message": "provider returned error"}, "502"),
        ({"message": "x"}, "error"),
        ("plain text", "error"),
    ],
)
def test_openai_errors(error: object, expected: str) -> None:
    """The type, else the code, also a numeric one; in an answer and inside a stream that began with 200."""
    record = record_of("/v1/chat/completions", CHAT, {"error": error}, status=429)
    assert (record.error_type, record.model, record.usage_state) == (expected, "gpt-4o", "absent")
    answer = b": OPENROUTER PROCESSING\n\n" + sse(chunk("a"), {"error": error})
    record = record_of("/v1/chat/completions", CHAT, answer, content_type="text/event-stream")
    assert (record.error_type, record.status) == (expected, 200)


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


ANTHROPIC = {
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hi"}],
    "model": "claude-sonnet-4-5",
    "stream": True,
}
ANTHROPIC_USAGE = {
    "input_tokens": 25, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 7, "output_tokens": 1,
    "service_tier": "standard",
}  # fmt: skip


def test_anthropic_message() -> None:
    """Input counts what was cached too."""
    answer = {
        "type": "message",
        "model": "claude-x",
        "stop_reason": "end_turn",
        "content": [],
        "usage": ANTHROPIC_USAGE,
    }
    record = record_of("/v1/messages", ANTHROPIC, answer)
    assert facts_of(record) == ("anthropic", "claude-sonnet-4-5", "claude-x", 132, 1, 7, 100, None)


def test_anthropic_stream_counts_are_cumulative() -> None:
    """Later counts replace earlier ones, nulls replace nothing, and nothing is added up."""
    answer = named(
        {"type": "message_start", "message": {"model": "claude-x", "usage": ANTHROPIC_USAGE}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
        {"type": "message_delta", "delta": {"stop_reason": None}, "usage": {"output_tokens": 5}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {
            "input_tokens": 26, "output_tokens": 12, "cache_read_input_tokens": None,
            "output_tokens_details": {"thinking_tokens": 3}}},
        {"type": "message_stop"},
    )  # fmt: skip
    record = record_of("/v1/messages", ANTHROPIC, answer, content_type="text/event-stream; charset=utf-8")
    assert facts_of(record) == ("anthropic", "claude-sonnet-4-5", "claude-x", 133, 12, 7, 100, 3)
    assert record.usage_state == "complete"
    cut = answer[: answer.index(b"event: message_stop")]
    assert record_of("/v1/messages", ANTHROPIC, cut, content_type="text/event-stream").usage_state == "complete"
    early = answer[: answer.index(b"event: message_delta")]
    assert record_of("/v1/messages", ANTHROPIC, early, content_type="text/event-stream").usage_state == "partial"


def test_anthropic_errors() -> None:
    """The type, in an answer and as an event of a stream that began with 200."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "overloaded"}}
    assert record_of("/v1/messages", ANTHROPIC, error, status=529).error_type == "overloaded_error"
    answer = named({"type": "message_start", "message": {"model": "claude-x", "usage": ANTHROPIC_USAGE}}, error)
    record = record_of("/v1/messages", ANTHROPIC, answer, content_type="text/event-stream")
    assert (record.error_type, record.status, record.input_tokens) == ("overloaded_error", 200, 132)


def test_model_between_the_windows() -> None:
    """A model that was not captured is taken from the answer."""
    body = {
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "x" * 9000}],
        "model": "lost",
        "tools": ["y" * 9000],
    }
    answer = {"type": "message", "model": "claude-x", "usage": ANTHROPIC_USAGE}
    assert facts_of(record_of("/v1/messages", body, answer, windows=(1000, 500)))[1:3] == ("claude-x", "claude-x")


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
    assert record.usage_state == "complete"
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
    record = record_of("/api/chat", {"model": "llama3.2"}, answer, content_type="application/x-ndjson")
    assert facts_of(record)[:5] == ("ollama", "llama3.2", "llama3.2", 26, 298)
    assert record.stream is not None
    assert (record.stream.finished, record.stream.frames) == (True, 3)
    plain = {"model": "llama3.2", "response": "x", "done": True, "context": [1] * 3000, "eval_count": 7}
    record = record_of("/api/generate", {"model": "llama3.2"}, plain, windows=(500, 200))
    assert (record.input_tokens, record.output_tokens) == (None, 7)
    record = record_of("/api/embed", {"model": "nope"}, {"error": "model not found"}, status=404)
    assert (record.error_type, record.model) == ("error", "nope")


@pytest.mark.parametrize("number", [-1, 1 << 70, 10**400, 1.5, "12", True, None, [], {}])
def test_strange_numbers_are_null(number: object) -> None:
    """A count that is none is not known; the others stand."""
    usage = {"prompt_tokens": number, "completion_tokens": 5, "cost": -1}
    record = record_of("/v1/chat/completions", CHAT, CHAT_ANSWER | {"usage": usage})
    assert (record.input_tokens, record.output_tokens, record.cost_usd) == (None, 5, None)


@pytest.mark.parametrize(
    "answer",
    [
        b'{"usage": ' + b"[" * 100_000,
        b'{"a":' * 50_000 + b"1",
        b'{"model": "\xff\xfe\x00", "usage": {"prompt_tokens": 5}}',
        b'{"model": {"x": 1}, "choices": 5, "usage": [1], "error": 7}',
        b"data: " * 20_000,
        b'"' * 60_000,
        b'{"usage": "' + b"\\" * 60_000,
        b"",
    ],
)
@pytest.mark.parametrize("windows", [(65536, 16384), (4000, 1000)])
@pytest.mark.parametrize("kind", ["application/json", "text/event-stream", "application/x-ndjson"])
def test_hostile_answers_make_a_record(answer: bytes, windows: tuple[int, int], kind: str) -> None:
    """Whatever comes back, the exchange is recorded with what the request said."""
    for path in ("/v1/chat/completions", "/v1/messages", "/v1beta/models/gpt-4o:streamGenerateContent", "/api/chat"):
        record = record_of(path, CHAT, answer, content_type=kind, windows=windows)
        assert record.model == "gpt-4o"


@pytest.mark.parametrize(
    ("path", "method", "provider"),
    [
        ("/v1/chat/completions", "GET", "auto"),
        ("/surveys/1/responses", "POST", "auto"),
        ("/api/messages", "POST", "auto"),
        ("/v1/chat/completions", "POST", "none"),
        ("/v1/chat/completions", "POST", "mcp"),
    ],
)
def test_what_is_no_call_has_no_columns(path: str, method: str, provider: str) -> None:
    """Other methods, other paths, and routes that say so stay plain."""
    record = record_of(path, CHAT, CHAT_ANSWER, method=method, route={"provider": provider})
    assert facts_of(record) == (None,) * 8
    assert record.usage_state is None


def test_path_alone_makes_no_call() -> None:
    """Without a model or a count anywhere it was something else."""
    assert facts_of(record_of("/api/chat", {"room": 5}, {"ok": True})) == (None,) * 8


def test_route_names_the_shape() -> None:
    """The setting comes before the path."""
    record = record_of(
        "/llm/answer",
        ANTHROPIC,
        {"type": "message", "model": "c", "usage": ANTHROPIC_USAGE},
        route={"provider": "anthropic"},
    )
    assert (record.provider, record.input_tokens) == ("anthropic", 132)


def test_the_end_of_a_very_long_stream_counts() -> None:
    """Of thousands of frames the last ones are read, whatever stood in those between."""
    running = [chunk("a", usage={"prompt_tokens": 19, "completion_tokens": n}) for n in range(5000)]
    answer = sse(*running, chunk(None, "stop", usage=CHAT_USAGE), "[DONE]")
    record = record_of("/v1/chat/completions", CHAT, answer, content_type="text/event-stream", windows=(4 << 20, 0))
    assert (record.output_tokens, record.usage_state) == (10, "complete")
    assert record.stream is not None
    assert record.stream.frames == 5002


@pytest.mark.parametrize("is_settled", [False, True])
def test_an_error_cuts_a_stream(is_settled: bool) -> None:
    """Counts before an error are those so far, unless the output had ended already."""
    counted = [chunk("a", usage=CHAT_USAGE), *([chunk(None, "stop", usage=CHAT_USAGE)] if is_settled else [])]
    answer = sse(*counted, {"error": {"type": "server_error", "message": "sorry"}})
    record = record_of("/v1/chat/completions", CHAT, answer, content_type="text/event-stream")
    assert (record.error_type, record.input_tokens) == ("server_error", 19)
    assert record.usage_state == ("complete" if is_settled else "partial")


@pytest.mark.parametrize("method", ["embedContent", "batchEmbedContents"])
def test_gemini_embeddings(method: str) -> None:
    """Both methods are calls of a model, though their answers tell no counts."""
    path = f"/v1beta/models/gemini-embedding-001:{method}"
    record = record_of(path, {"requests": []}, {"embeddings": [{"values": [0.5]}]})
    assert (record.provider, record.model, record.usage_state) == ("gemini", "gemini-embedding-001", "absent")
