"""Chat of the fake OpenAI API: completions, plain and streamed, in words or as a call of a tool.

Usage in a stream comes only when `stream_options.include_usage` asks for it: then every chunk has `usage: null` and one
more chunk, without choices, has the counts before `[DONE]`. With `continuous_usage_stats`, as vLLM has it, every chunk
has the counts so far instead.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from aiohttp import web

from proxy.demo.llm import CREATED, answer_id, answer_words, count_tokens, pieces, tool_arguments
from proxy.demo.streams import PACE_S, event_stream

FAULTY_MODEL: Final = "gpt-faulty"

Step = tuple[dict[str, Any], str | None, int]
"""What a chunk adds, why the output ended, tokens written so far."""


def fault(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return what goes wrong in the middle of a stream, None when nothing does."""
    if body["model"] != FAULTY_MODEL:
        return None
    return {"message": "the server had an error while processing your request", "code": "server_error"}


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
    """Return the function that the answer calls: the first one offered, unless its result was just sent."""
    tools, last = body.get("tools"), body["messages"][-1]
    if not isinstance(tools, list) or not tools or last.get("role") == "tool":
        return None
    function = tools[0]["function"]
    arguments = tool_arguments(function.get("parameters"), [last])
    return {"name": function["name"], "arguments": json.dumps(arguments)}


async def chat(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """POST /v1/chat/completions"""
    words, function = answer_words(body["messages"]), called_tool(body)
    head = {"id": answer_id("chatcmpl-", body), "created": CREATED, "model": body["model"], "service_tier": "default"}
    headers = {"x-request-id": answer_id("req_", body)}
    if body.get("stream"):
        steps = word_steps(words) if function is None else tool_steps(answer_id("call_", body), function)
        return await event_stream(request, chat_frames(head, steps, body, request.config_dict[PACE_S]), headers)
    message: dict[str, Any] = {"role": "assistant", "content": " ".join(words), "refusal": None}
    reason, count = "stop", len(words)
    if function is not None:
        call = {"id": answer_id("call_", body), "type": "function", "function": function}
        message |= {"content": None, "tool_calls": [call]}
        reason, count = "tool_calls", 1
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    answer = head | {"object": "chat.completion", "choices": [choice], "usage": chat_usage(body, count)}
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
    named = {"index": 0, "id": call_id, "type": "function", "function": function | {"arguments": ""}}
    yield {"role": "assistant", "content": None, "tool_calls": [named]}, None, 0
    for part in (arguments[:half], arguments[half:]):
        yield {"tool_calls": [{"index": 0, "function": {"arguments": part}}]}, None, 1
    yield {}, "tool_calls", 1


async def chat_frames(
    head: dict[str, Any], steps: Iterator[Step], body: dict[str, Any], pace_s: float
) -> AsyncIterator[bytes]:
    """Yield the frames of a chat stream, the last one `[DONE]`, or an error that ends it."""
    options = body["stream_options"] if isinstance(body.get("stream_options"), dict) else {}
    has_usage, is_continuous = bool(options.get("include_usage")), bool(options.get("continuous_usage_stats"))
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


async def legacy(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """POST /v1/completions: the older endpoint, plain only."""
    words = answer_words(body["prompt"])
    prompt = count_tokens(body["prompt"])
    usage = {"prompt_tokens": prompt, "completion_tokens": len(words), "total_tokens": prompt + len(words)}
    choice = {"index": 0, "text": " ".join(words), "logprobs": None, "finish_reason": "stop"}
    head = {"id": answer_id("cmpl-", body), "object": "text_completion", "created": CREATED, "model": body["model"]}
    return web.json_response(head | {"choices": [choice], "usage": usage})
