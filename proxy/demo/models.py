"""Two language models of the demo: OpenAI's chat completions and Anthropic's messages, plain and streamed.

Strategy: the answer follows from the prompt, a token is a word. Enough of both wire formats for the records to show
models, tokens, cost and streams; `gpt-busy` and `claude-busy` are overloaded, to show errors too.
"""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from aiohttp import web

from proxy.demo import agent
from proxy.demo.streams import event_stream, pause

CREATED: Final = 1767225600
_TEXT: Final = (
    "A sidecar stands beside the service it records. It forwards every request unchanged, keeps both bodies, "
    "and reports how long it took and what it cost. You asked about:"
)
_QUOTED_WORDS: Final = 12


def _answer(body: Mapping[str, Any]) -> tuple[list[str], int]:
    asked = [word for message in body["messages"] for word in str(message["content"]).split()]
    return [*_TEXT.split(), *asked[:_QUOTED_WORDS]], len(asked)


def _pieces(words: list[str]) -> list[str]:
    return [word if index == 0 else f" {word}" for index, word in enumerate(words)]


def _frame(value: Mapping[str, Any], event: str = "") -> bytes:
    return (f"event: {event}\n" if event else "").encode() + f"data: {json.dumps(value)}\n\n".encode()


async def chat(request: web.Request) -> web.StreamResponse:
    """POST /v1/chat/completions: usage in a stream comes only when `stream_options.include_usage` asks for it."""
    body = await request.json()
    if body["model"] == "gpt-busy":
        error = {"message": "rate limit reached", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
        return web.json_response({"error": error}, status=429, headers={"Retry-After": "2"})
    words, asked = _answer(body)
    usage = {
        "prompt_tokens": asked,
        "completion_tokens": len(words),
        "total_tokens": asked + len(words),
        "prompt_tokens_details": {"cached_tokens": asked // 2},
    }
    head = {"id": "chatcmpl-demo", "created": CREATED, "model": body["model"]}
    if body.get("stream"):
        has_usage = body.get("stream_options", {}).get("include_usage", False)
        return await event_stream(request, _chat_frames(request, head, words, usage if has_usage else None))
    message = {"role": "assistant", "content": " ".join(words)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return web.json_response(head | {"object": "chat.completion", "choices": [choice], "usage": usage})


async def _chat_frames(
    request: web.Request, head: dict[str, Any], words: list[str], usage: dict[str, Any] | None
) -> AsyncIterator[bytes]:
    head = head | {"object": "chat.completion.chunk"}
    for piece in _pieces(words):
        yield _frame(head | {"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
        await pause(request)
    yield _frame(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if usage is not None:
        yield _frame(head | {"choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


async def messages(request: web.Request) -> web.StreamResponse:
    """POST /v1/messages: in a stream, `message_start` counts the input, `message_delta` everything."""
    body = await request.json()
    if body["model"] == "claude-busy" or body.get("metadata") == agent.OVERLOADED:
        error = {"type": "error", "error": {"type": "overloaded_error", "message": "overloaded"}}
        return web.json_response(error, status=529)
    if "tools" in body:
        await pause(request, frames=20)
        content, stop_reason, usage = agent.reply(body["messages"])
        message = {"id": "msg_demo", "type": "message", "role": "assistant", "model": body["model"]}
        return web.json_response(message | {"content": content, "stop_reason": stop_reason, "usage": usage})
    words, asked = _answer(body)
    stop_reason = "max_tokens" if body["max_tokens"] < len(words) else "end_turn"
    words = words[: body["max_tokens"]]
    usage = {"input_tokens": asked, "cache_read_input_tokens": len(str(body.get("system", "")).split())}
    message = {"id": "msg_demo", "type": "message", "role": "assistant", "model": body["model"], "stop_sequence": None}
    if body.get("stream"):
        return await event_stream(request, _message_frames(request, message, words, stop_reason, usage))
    content = [{"type": "text", "text": " ".join(words)}]
    usage |= {"output_tokens": len(words)}
    return web.json_response(message | {"content": content, "stop_reason": stop_reason, "usage": usage})


async def _message_frames(
    request: web.Request, message: dict[str, Any], words: list[str], stop_reason: str, usage: dict[str, int]
) -> AsyncIterator[bytes]:
    def event(kind: str, **members: object) -> bytes:
        return _frame({"type": kind, **members}, kind)

    started = message | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}
    yield event("message_start", message=started)
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for piece in _pieces(words):
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
        await pause(request)
    yield event("content_block_stop", index=0)
    delta = {"stop_reason": stop_reason, "stop_sequence": None}
    yield event("message_delta", delta=delta, usage=usage | {"output_tokens": len(words)})
    yield event("message_stop")


def routes() -> list[web.RouteDef]:
    return [web.post("/v1/chat/completions", chat), web.post("/v1/messages", messages)]
