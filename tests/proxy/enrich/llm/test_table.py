"""The table: every API × plain, stream, coded, larger than every window, cut, error inside, client gone.

No cell shows a wrong figure: it is right, or null and said to be so. Each fixture names the document it follows.
"""

import gzip
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from storage.record import Outcome, Record
from tests.proxy.enrich.calls import chunk, named, record_of, sse

PAD = [f"word {number} of it, " for number in range(400)]
MESSAGES = [{"role": "user", "content": "hi"}]


def lines(*documents: object) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


def array(*documents: object) -> bytes:
    return json.dumps(documents).encode()


class Api(NamedTuple):
    """One endpoint: what is sent, what comes back whole and in frames, and what must be read of it."""

    path: str
    body: dict[str, Any]
    document: dict[str, Any]
    frames: list[dict[str, Any]]
    """A streamed response; the padding stands between the first and the rest."""
    pad: Callable[[str], dict[str, Any]]
    error: dict[str, Any]
    expected: tuple[str, int, int, str]
    """Model of the response, tokens in and out, reason."""
    error_type: str
    kind: str = "text/event-stream"
    write: Callable[..., bytes] = sse


USAGE = {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "".join(PAD)}, "finish_reason": "stop"}
CHAT = Api(  # https://platform.openai.com/docs/api-reference/chat/create and /chat-streaming/streaming
    "/v1/chat/completions",
    {"model": "gpt-4o", "messages": MESSAGES},
    {"object": "chat.completion", "model": "gpt-4o-2024-08-06", "choices": [CHOICE], "usage": USAGE},
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
        {"type": "response.created", "response": RESPONSE | {"status": "in_progress", "usage": None}},
        {"type": "response.completed", "response": RESPONSE},
    ],
    lambda text: {"type": "response.output_text.delta", "delta": text},
    {"type": "error", "code": "rate_limit_exceeded", "message": "slow down"},
    ("gpt-5-2025", 36, 87, "completed"),
    "rate_limit_exceeded",
    write=named,
)

CONTENT = [{"type": "text", "text": "".join(PAD)}]
MESSAGE = Api(  # https://docs.anthropic.com/en/api/messages and /en/docs/build-with-claude/streaming
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
        "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": count, "totalTokenCount": count + 4},
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
CLI = GEMINI._replace(  # https://github.com/google-gemini/gemini-cli: packages/core/src/code_assist/converter.ts
    path="/v1internal:streamGenerateContent",
    body={"model": "gemini-2.5-flash", "request": GEMINI.body},
    document={"response": GEMINI.document, "traceId": "t"},
    frames=[{"response": frame, "traceId": "t"} for frame in GEMINI.frames],
    pad=lambda text: {"response": generated(text, 5), "traceId": "t"},
)


def line(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "llama3.2:3b", "message": {"role": "assistant", "content": text}, "done": False} | more


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
APIS = {
    "chat": CHAT, "responses": RESPONSES, "messages": MESSAGE, "gemini": GEMINI, "gemini cli": CLI, "ollama": OLLAMA,
    "gemini array": GEMINI._replace(kind="application/json", write=array),
}  # fmt: skip
SMALL = (3000, 1000)


def read(api: Api, answer: object, **more: Any) -> Record:
    return record_of(api.path, api.body, answer, **more)


def stream(api: Api) -> bytes:
    return api.write(api.frames[0], *map(api.pad, PAD), *api.frames[1:])


def is_right(api: Api, record: Record) -> bool:
    assert record.stream is not None
    read_off = (record.resolved_model, record.input_tokens, record.output_tokens, record.stream.finish_reason)
    return read_off == api.expected and record.usage_state == "exact" and record.error_type is None


@pytest.mark.parametrize("name", APIS)
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


@pytest.mark.parametrize("name", APIS)
@pytest.mark.parametrize("windows", [(1 << 20, 1 << 18), (3000, 1000), (3000, 200)])
def test_stream(name: str, windows: tuple[int, int]) -> None:
    """Whole, coded, and larger than every window: right, or lost where the end is too large even for its members."""
    api = APIS[name]
    record = read(api, stream(api), content_type=api.kind, windows=windows)
    assert record.stream is not None
    if windows[1] > 200:
        figures = (record.resolved_model, record.input_tokens, record.output_tokens, record.usage_state)
        assert figures == (*api.expected[:3], "exact")
        assert record.stream.end == "complete"
    else:
        assert record.output_tokens in (api.expected[2], None)
        assert (record.output_tokens is None) == (record.usage_state != "exact")
    coded = gzip.compress(stream(api))
    headers = "Content-Encoding: gzip\r\n"
    record = read(api, coded, content_type=api.kind, windows=(1 << 20, 0), response_headers=headers)
    assert is_right(api, record)


@pytest.mark.parametrize("name", APIS)
@pytest.mark.parametrize("outcome", [Outcome.TRUNCATED, Outcome.CLIENT_CLOSED])
@pytest.mark.parametrize("windows", [(1 << 20, 1 << 18), (3000, 1000)])
def test_cut_and_client_gone(name: str, outcome: Outcome, windows: tuple[int, int]) -> None:
    """Only what the wire said so far, and never a price of it."""
    api = APIS[name]
    answer = stream(api)
    for size in range(len(answer) // 2, len(answer) // 2 + 200, 37):
        record = read(api, answer[:size], content_type=api.kind, outcome=outcome, windows=windows)
        assert record.stream is not None
        assert record.stream.end == ("cut" if outcome is Outcome.TRUNCATED else "client_closed")
        assert (record.usage_state in ("partial", "absent", "lost"), record.cost_usd) == (True, None)
        assert record.output_tokens in (None, 5)
        assert record.input_tokens in (None, api.expected[1])


@pytest.mark.parametrize("name", [name for name in APIS if name != "gemini array"])
def test_error_inside(name: str) -> None:
    """A 200 that ends with an error says which, and is not complete."""
    api = APIS[name]
    answer = api.write(api.frames[0], api.pad("a"), api.error)
    record = read(api, answer, content_type=api.kind)
    assert record.stream is not None
    assert (record.error_type, record.stream.end, record.stream.finished) == (api.error_type, "error", False)
    assert (record.status, record.usage_state in ("partial", "absent"), record.cost_usd) == (200, True, None)
