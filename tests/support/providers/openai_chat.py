"""Chat of the fake OpenAI API: chat completions, plain and streamed, in words or as a call of a
tool.

Usage in a stream comes only when `stream_options.include_usage` asks for it: then every chunk has
`usage: null` and one more chunk, without choices, has the counts before `[DONE]`. With
`continuous_usage_stats`, as vLLM has it, every chunk has the counts so far instead.

Model `gpt-busy` is always rate-limited, `gpt-broken` always fails, `gpt-faulty` fails in the middle
of its streams, and a model whose name begins with neither `gpt`, `o` nor `text-embedding` does not
exist.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

from aiohttp import web

from tests.support.providers.llm import (
    CREATED,
    BadRequest,
    answer_id,
    answer_words,
    count_tokens,
    pieces,
    read_object,
    tool_arguments,
)
from tests.support.providers.streams import PACE_S, event_stream

MODELS: Final = ("gpt-4o-mini", "gpt-4o", "o4-mini", "text-embedding-3-small")
BUSY_MODEL: Final = "gpt-busy"
BROKEN_MODEL: Final = "gpt-broken"
FAULTY_MODEL: Final = "gpt-faulty"

Answer = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]
Step = tuple[dict[str, Any], str | None, int]
"""What a chunk adds, why the output ended, tokens written so far."""


def error(
    status: int, message: str, kind: str, code: str | None, param: str | None = None
) -> web.Response:
    """Return an error in this API's shape."""
    headers = {"Retry-After": "2", "x-ratelimit-remaining-requests": "0"} if status == 429 else None
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return web.json_response(body, status=status, headers=headers)


def checked(
    answer: Answer, required: str
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Wrap an endpoint: read the body, refuse what lacks `required`, unknown models and the busy
    one.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            body = await read_object(request)
        except BadRequest as refused:
            return error(400, str(refused), "invalid_request_error", None)

        model = body.get("model")
        if not isinstance(model, str):
            return error(
                400, "you must provide a model parameter", "invalid_request_error", None, "model"
            )
        if model == BUSY_MODEL:
            return error(429, f"rate limit reached for {model}", "requests", "rate_limit_exceeded")
        if model == BROKEN_MODEL:
            return error(
                500, "the server had an error while processing your request", "server_error", None
            )
        if not model.startswith(("gpt", "o", "text-embedding")):
            message = f"the model `{model}` does not exist or you do not have access to it"
            return error(404, message, "invalid_request_error", "model_not_found", "model")
        if not body.get(required):
            message = f"missing required parameter: '{required}'"
            return error(
                400, message, "invalid_request_error", "missing_required_parameter", required
            )

        return await answer(request, body)

    return handle


def fault(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return what goes wrong in the middle of a stream, None when nothing does."""
    if body["model"] != FAULTY_MODEL:
        return None
    return {
        "message": "the server had an error while processing your request",
        "code": "server_error",
    }


def chat_usage(body: dict[str, Any], completion: int) -> dict[str, Any]:
    """Return the counts of a chat completion."""
    prompt = count_tokens(body["messages"])
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": prompt // 2, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def called_tool(body: dict[str, Any]) -> dict[str, str] | None:
    """Return the function that the answer calls: the first one offered, unless its result was just
    sent.
    """
    tools = body.get("tools")
    last = body["messages"][-1]
    if not isinstance(tools, list) or not tools or last.get("role") == "tool":
        return None

    function = tools[0]["function"]
    arguments = tool_arguments(function.get("parameters"), [last])
    return {"name": function["name"], "arguments": json.dumps(arguments)}


async def chat(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """POST /v1/chat/completions"""
    words = answer_words(body["messages"])
    function = called_tool(body)
    head = {
        "id": answer_id("chatcmpl-", body),
        "created": CREATED,
        "model": body["model"],
        "service_tier": "default",
    }
    headers = {"x-request-id": answer_id("req_", body)}

    if body.get("stream"):
        steps = (
            word_steps(words)
            if function is None
            else tool_steps(answer_id("call_", body), function)
        )
        return await event_stream(
            request, chat_frames(head, steps, body, request.config_dict[PACE_S]), headers
        )

    message: dict[str, Any] = {"role": "assistant", "content": " ".join(words), "refusal": None}
    reason = "stop"
    count = len(words)

    if function is not None:
        call = {"id": answer_id("call_", body), "type": "function", "function": function}
        message |= {"content": None, "tool_calls": [call]}
        reason = "tool_calls"
        count = 1

    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    answer = head | {
        "object": "chat.completion",
        "choices": [choice],
        "usage": chat_usage(body, count),
    }
    return web.json_response(answer, headers=headers)


def word_steps(words: list[str]) -> Iterator[Step]:
    """Yield an answer word by word."""
    yield {"role": "assistant", "content": ""}, None, 0
    for count, piece in enumerate(pieces(words), 1):
        yield {"content": piece}, None, count
    yield {}, "stop", len(words)


def tool_steps(call_id: str, function: dict[str, str]) -> Iterator[Step]:
    """Yield the call of a tool: its name, then its arguments in two parts."""
    arguments = function["arguments"]
    half = len(arguments) // 2
    named = {
        "index": 0,
        "id": call_id,
        "type": "function",
        "function": function | {"arguments": ""},
    }
    yield {"role": "assistant", "content": None, "tool_calls": [named]}, None, 0
    for part in (arguments[:half], arguments[half:]):
        yield {"tool_calls": [{"index": 0, "function": {"arguments": part}}]}, None, 1
    yield {}, "tool_calls", 1


async def chat_frames(
    head: dict[str, Any], steps: Iterator[Step], body: dict[str, Any], pace_s: float
) -> AsyncIterator[bytes]:
    """Yield the frames of a chat stream, the last one `[DONE]`, or an error that ends it."""
    options = body["stream_options"] if isinstance(body.get("stream_options"), dict) else {}
    has_usage = bool(options.get("include_usage"))
    is_continuous = bool(options.get("continuous_usage_stats"))
    common = head | {"object": "chat.completion.chunk"} | ({"usage": None} if has_usage else {})

    count = 0
    for delta, finish_reason, count in steps:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        running = {"usage": chat_usage(body, count)} if is_continuous else {}
        yield data_frame(common | {"choices": [choice]} | running)
        await asyncio.sleep(pace_s)
        if count and (found := fault(body)) is not None:
            yield data_frame({"error": found | {"type": "server_error", "param": None}})
            return

    if has_usage:
        yield data_frame(common | {"choices": [], "usage": chat_usage(body, count)})
    yield b"data: [DONE]\n\n"


def data_frame(value: dict[str, Any]) -> bytes:
    """Return a frame without an event name."""
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


async def models(request: web.Request) -> web.Response:
    """GET /v1/models"""
    data = [
        {"id": name, "object": "model", "created": CREATED, "owned_by": "demo"} for name in MODELS
    ]
    return web.json_response({"object": "list", "data": data})


def routes() -> list[web.RouteDef]:
    """Return the routes of this API."""
    return [
        web.post("/v1/chat/completions", checked(chat, "messages")),
        web.get("/v1/models", models),
    ]
