"""The table: every API × plain, stream, coded, larger than every window, cut, error inside, client
gone.

No cell shows a wrong figure: it is right, or null and said to be so. Each fixture names the
document it follows.
"""

import gzip
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from storage.record import Outcome, Record
from tests.proxy.enrich.calls import chunk, named, record_of, sse
from tests.proxy.enrich.llm.test_bedrock import event
from tests.support.cases import each_of

PAD = [f"word {number} of it, " for number in range(400)]
MESSAGES = [{"role": "user", "content": "hi"}]


def lines(*documents: object) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


def array(*documents: object) -> bytes:
    return json.dumps(documents).encode()


class Api(NamedTuple):
    """One endpoint: a request, its response whole and in frames, and the expected columns."""

    path: str
    body: dict[str, Any]
    document: dict[str, Any]
    frames: list[dict[str, Any]]
    """A streamed response; the padding stands between the first and the rest."""
    pad: Callable[[str], dict[str, Any]]
    error: dict[str, Any]
    expected: tuple[str | None, int, int, str]
    """Model of the response, tokens in and out, reason."""
    error_type: str
    kind: str = "text/event-stream"
    write: Callable[..., bytes] = sse


USAGE = {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29}
CHOICE = {
    "index": 0,
    "message": {"role": "assistant", "content": "".join(PAD)},
    "finish_reason": "stop",
}
# Https://platform.openai.com/docs/api-reference/chat/create and /chat-streaming/streaming.
CHAT = Api(
    "/v1/chat/completions",
    {"model": "gpt-4o", "messages": MESSAGES},
    {
        "object": "chat.completion",
        "model": "gpt-4o-2024-08-06",
        "choices": [CHOICE],
        "usage": USAGE,
    },
    [chunk(""), chunk(None, "stop"), chunk(choices=[], usage=USAGE), "[DONE]"],  # type: ignore[list-item]
    lambda text: chunk(text),
    {"error": {"type": "server_error", "message": "sorry"}},
    ("gpt-4o-2024-08-06", 19, 10, "stop"),
    "server_error",
)

RESPONSE = {
    "id": "resp_1", "object": "response", "status": "completed", "error": None, "incomplete_details": None,
    "instructions": "".join(PAD), "model": "gpt-5-2025", "output": [{"type": "message", "content": []}],
    "tools": [{"type": "function", "name": "a", "parameters": {"usage": {"input_tokens": 1}}}],
    "usage": {"input_tokens": 36, "output_tokens": 87, "total_tokens": 123},
}  # fmt: skip
RESPONSES = Api(  # https://platform.openai.com/docs/api-reference/responses-streaming
    "/v1/responses",
    {"model": "gpt-5", "input": "hi"},
    RESPONSE,
    [
        {
            "type": "response.created",
            "response": RESPONSE | {"status": "in_progress", "usage": None},
        },
        {"type": "response.completed", "response": RESPONSE},
    ],
    lambda text: {"type": "response.output_text.delta", "delta": text},
    {"type": "error", "code": "rate_limit_exceeded", "message": "slow down"},
    ("gpt-5-2025", 36, 87, "completed"),
    "rate_limit_exceeded",
    write=named,
)

CONTENT = [{"type": "text", "text": "".join(PAD)}]
# Https://docs.anthropic.com/en/api/messages and /en/docs/build-with-claude/streaming.
MESSAGE = Api(
    "/v1/messages",
    {"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": MESSAGES},
    {
        "type": "message", "model": "claude-sonnet-4-5-20250929", "content": CONTENT, "stop_reason": "end_turn",
        "usage": {"input_tokens": 25, "output_tokens": 15},
    },
    [
        {"type": "message_start", "message": {
            "model": "claude-sonnet-4-5-20250929", "usage": {"input_tokens": 25, "output_tokens": 1}}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 15}},
        {"type": "message_stop"},
    ],
    lambda text: {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
    {"type": "error", "error": {"type": "overloaded_error", "message": "overloaded"}},
    ("claude-sonnet-4-5-20250929", 25, 15, "end_turn"),
    "overloaded_error",
    write=named,
)  # fmt: skip


def generated(text: str, count: int, **candidate: Any) -> dict[str, Any]:
    """A response of https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse."""
    return {
        "candidates": [{"content": {"parts": [{"text": text}], "role": "model"}} | candidate],
        "usageMetadata": {
            "promptTokenCount": 4,
            "candidatesTokenCount": count,
            "totalTokenCount": count + 4,
        },
        "modelVersion": "gemini-2.5-flash-001",
    }


GEMINI = Api(
    "/v1beta/models/gemini-2.5-flash:streamGenerateContent",
    {"contents": [{"parts": [{"text": "hi"}]}]},
    generated("".join(PAD), 12, finishReason="STOP"),
    [generated("a", 1), generated("b", 12, finishReason="STOP")],
    lambda text: generated(text, 5),
    {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}},
    ("gemini-2.5-flash-001", 4, 12, "STOP"),
    "UNAVAILABLE",
)
# Https://github.com/google-gemini/gemini-cli: packages/core/src/code_assist/converter.ts.
CLI = GEMINI._replace(
    path="/v1internal:streamGenerateContent",
    body={"model": "gemini-2.5-flash", "request": GEMINI.body},
    document={"response": GEMINI.document, "traceId": "t"},
    frames=[{"response": frame, "traceId": "t"} for frame in GEMINI.frames],
    pad=lambda text: {"response": generated(text, 5), "traceId": "t"},
)


def line(text: str, **more: Any) -> dict[str, Any]:
    return {
        "model": "llama3.2:3b",
        "message": {"role": "assistant", "content": text},
        "done": False,
    } | more


OLLAMA = Api(  # https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion
    "/api/chat",
    {"model": "llama3.2", "messages": MESSAGES},
    line("".join(PAD), done=True, done_reason="stop", prompt_eval_count=26, eval_count=298),
    [line("a"), line("", done=True, done_reason="stop", prompt_eval_count=26, eval_count=298)],
    line,
    {"error": "model runner has unexpectedly stopped"},
    ("llama3.2:3b", 26, 298, "stop"),
    "error",
    "application/x-ndjson",
    lines,
)


def events(*parts: dict[str, Any]) -> bytes:
    """Write documents as binary events, each named by its only member."""
    raw = b""
    for part in parts:
        ((name, payload),) = part.items()
        raw += event(
            name, payload, kind=b":exception-type" if name.endswith("Exception") else b":event-type"
        )

    return raw


CONVERSED = {"inputTokens": 30, "outputTokens": 628, "totalTokens": 658}
# Https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html.
CONVERSE = Api(
    "/model/us.amazon.nova-lite-v1%3A0/converse-stream",
    {"messages": [{"role": "user", "content": [{"text": "hi"}]}]},
    {
        "output": {"message": {"role": "assistant", "content": [{"text": "".join(PAD)}]}}, "stopReason": "end_turn",
        "usage": CONVERSED, "metrics": {"latencyMs": 1551},
    },
    [
        {"messageStart": {"role": "assistant"}},
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": CONVERSED, "metrics": {"latencyMs": 1551}}},
    ],
    lambda text: {"contentBlockDelta": {"delta": {"text": text}, "contentBlockIndex": 0}},
    {"throttlingException": {"message": "too many requests"}},
    (None, 30, 628, "end_turn"),  # the response names no model
    "throttlingException",
    "application/vnd.amazon.eventstream",
    events,
)  # fmt: skip
BILLED = {
    "billed_units": {"input_tokens": 5, "output_tokens": 418},
    "tokens": {"input_tokens": 71, "output_tokens": 421},
}
COHERE = Api(  # https://docs.cohere.com/reference/chat and /reference/chat-stream
    "/v2/chat",
    {"model": "command-a-03-2025", "messages": MESSAGES},
    {
        "id": "c14c80c3", "message": {"role": "assistant", "content": CONTENT}, "finish_reason": "COMPLETE",
        "usage": BILLED,
    },
    [
        {"type": "message-start", "id": "29f14a5a", "delta": {"message": {"role": "assistant", "content": []}}},
        {"type": "content-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": BILLED}},
    ],
    lambda text: {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": text}}}},
    {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "stream ended unexpectedly"}},
    (None, 5, 418, "COMPLETE"),
    "ERROR",
    write=named,
)  # fmt: skip


def predicted(text: str, **more: Any) -> dict[str, Any]:
    return {
        "index": 0,
        "content": text,
        "stop": False,
        "tokens_predicted": 5,
        "tokens_evaluated": 26,
    } | more


LAST = {
    "stop": True, "model": "qwen3-8b.gguf", "tokens_predicted": 298, "stop_type": "limit", "stopping_word": "",
    "timings": {"cache_n": 0, "prompt_n": 26, "predicted_n": 298}, "generation_settings": {"stop": ["x"]},
}  # fmt: skip
# Https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md: POST /completion.
LLAMA = Api(
    "/completion",
    {"prompt": "hi", "n_predict": 298},
    predicted("".join(PAD), **LAST),
    [predicted("a"), predicted("", **LAST)],
    predicted,
    {"error": {"code": 500, "message": "context shift is disabled", "type": "server_error"}},
    ("qwen3-8b.gguf", 26, 298, "limit"),
    "server_error",
)
# Https://docs.x.ai/docs/guides/reasoning: reasoning is counted beside the completion.
GROK = CHAT._replace(
    body=CHAT.body | {"model": "grok-3-mini"},
    document=CHAT.document | {"usage": (THOUGHT := {
        "prompt_tokens": 19, "completion_tokens": 4, "total_tokens": 29,
        "completion_tokens_details": {"reasoning_tokens": 6},
    })},
    frames=[chunk(""), chunk(None, "stop"), chunk(choices=[], usage=THOUGHT), "[DONE]"],  # type: ignore[list-item]
)  # fmt: skip
# Https://docs.mistral.ai/api/#tag/chat: counts on the chunk that ends the output.
MISTRAL = CHAT._replace(
    body={"model": "mistral-small-latest", "messages": MESSAGES},
    frames=[chunk(""), chunk("", "stop", usage=USAGE), "[DONE]"],  # type: ignore[list-item]
    error={
        "object": "error",
        "message": "busy",
        "type": "rate_limited",
        "param": None,
        "code": "1300",
    },
    error_type="rate_limited",
)
# Https://lmstudio.ai/docs/app/api/endpoints/openai: errors are events, and mere text.
LM_STUDIO = CHAT._replace(
    error={"error": "The model has crashed without additional information."},
    error_type="error",
)
VLLM = CHAT._replace(  # https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
    frames=[chunk(""), chunk(None, "stop"), chunk(choices=None, usage=USAGE), "[DONE]"],  # type: ignore[list-item]
    error={
        "error": {
            "object": "error",
            "message": "sorry",
            "type": "InternalServerError",
            "param": None,
            "code": 500,
        }
    },
    error_type="InternalServerError",
)
APIS = {
    "chat": CHAT, "responses": RESPONSES, "messages": MESSAGE, "gemini": GEMINI, "gemini cli": CLI, "ollama": OLLAMA,
    "bedrock": CONVERSE, "cohere": COHERE, "llama-server": LLAMA, "xai": GROK, "mistral": MISTRAL, "vllm": VLLM,
    "lm studio": LM_STUDIO,
    "gemini array": GEMINI._replace(kind="application/json", write=array),
}  # fmt: skip
SMALL = (3000, 1000)


def read(api: Api, answer: object, **more: Any) -> Record:
    return record_of(api.path, api.body, answer, **more)


def stream(api: Api) -> bytes:
    return api.write(api.frames[0], *map(api.pad, PAD), *api.frames[1:])


def is_right(api: Api, record: Record) -> bool:
    assert record.stream is not None
    read_off = (
        record.resolved_model,
        record.input_tokens,
        record.output_tokens,
        record.stream.finish_reason,
    )
    return read_off == api.expected and record.usage_state == "exact" and record.error_type is None


@each_of("name", APIS)
def test_plain(name: str) -> None:
    """Whole, coded, and with its middle missing."""
    api = APIS[name]
    packed = gzip.compress(json.dumps(api.document).encode())
    assert is_right(api, read(api, api.document))
    assert is_right(api, read(api, packed, response_headers="Content-Encoding: gzip\r\n"))

    if name != "gemini cli":  # which has no endpoint that answers with one document of this size
        cut = read(api, api.document, windows=SMALL)
        assert is_right(api, cut) or cut.usage_state == "lost"
        assert cut.output_tokens in (api.expected[2], None)


@each_of("name", APIS)
@each_of("windows", [(1 << 20, 1 << 18), (3000, 1000), (3000, 200)])
def test_stream(name: str, windows: tuple[int, int]) -> None:
    """Whole, coded, and larger than every window: right, or lost where the end is too large even
    for its members.
    """
    api = APIS[name]
    record = read(api, stream(api), content_type=api.kind, windows=windows)
    assert record.stream is not None

    if windows[1] > 200:
        figures = (
            record.resolved_model,
            record.input_tokens,
            record.output_tokens,
            record.usage_state,
        )
        assert figures == (*api.expected[:3], "exact")
        assert record.stream.end == "complete"
    else:
        assert record.output_tokens in (api.expected[2], None)
        assert (record.output_tokens is None) == (record.usage_state != "exact")

    coded = gzip.compress(stream(api))
    headers = "Content-Encoding: gzip\r\n"
    record = read(api, coded, content_type=api.kind, windows=(1 << 20, 0), response_headers=headers)
    assert is_right(api, record)


@each_of("name", APIS)
@each_of("outcome", [Outcome.TRUNCATED, Outcome.CLIENT_CLOSED])
@each_of("windows", [(1 << 20, 1 << 18), (3000, 1000)])
def test_cut_and_client_gone(name: str, outcome: Outcome, windows: tuple[int, int]) -> None:
    """Counts so far are partial, and have no price."""
    api = APIS[name]
    answer = stream(api)
    for size in range(len(answer) // 2, len(answer) // 2 + 200, 67):
        record = read(api, answer[:size], content_type=api.kind, outcome=outcome, windows=windows)
        assert record.stream is not None
        assert record.stream.end == ("cut" if outcome is Outcome.TRUNCATED else "client_closed")
        assert (record.usage_state in ("partial", "absent", "lost"), record.cost_usd) == (
            True,
            None,
        )
        assert record.output_tokens in (None, 5)
        assert record.input_tokens in (None, api.expected[1])


@each_of("name", [name for name in APIS if name != "gemini array"])
def test_error_inside(name: str) -> None:
    """A stream of status 200 that ends with an error has its type, and is not complete."""
    api = APIS[name]
    answer = api.write(api.frames[0], api.pad("a"), api.error)
    record = read(api, answer, content_type=api.kind)
    assert record.stream is not None
    assert (record.error_type, record.stream.end, record.stream.finished) == (
        api.error_type,
        "error",
        False,
    )
    assert (record.status, record.usage_state in ("partial", "absent"), record.cost_usd) == (
        200,
        True,
        None,
    )
