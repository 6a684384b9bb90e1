"""A fake Anthropic API: messages, plain and streamed, on their public wire format.

In a stream, `message_start` has the input's counts and each `message_delta` the counts *so far*: they replace what
came before and are never added up; two of them are sent here to show it. Model `claude-busy` is always overloaded, a
model whose name does not begin with `claude` does not exist.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

from aiohttp import web

from proxy.demo.llm import BadRequest, answer_id, answer_words, count_tokens, pieces, read_object
from proxy.demo.streams import PACE_S, event_stream

BUSY_MODEL: Final = "claude-busy"
OVERLOADED: Final = 529
"""This API's own status for being overloaded."""


def error(status: int, kind: str, message: str) -> web.Response:
    """Return an error in this API's shape."""
    return web.json_response({"type": "error", "error": {"type": kind, "message": message}}, status=status)


def refusal(body: dict[str, Any]) -> web.Response | None:
    """Return what is wrong with a request, None when it can be answered."""
    for key in ("model", "max_tokens", "messages"):
        if not body.get(key):
            return error(400, "invalid_request_error", f"{key}: field required")
    if body["model"] == BUSY_MODEL:
        return error(OVERLOADED, "overloaded_error", "overloaded")
    if not str(body["model"]).startswith("claude"):
        return error(404, "not_found_error", f"model: {body['model']}")
    return None


def usage(body: dict[str, Any], output_tokens: int) -> dict[str, Any]:
    """Return the counts when `output_tokens` were written; input counts only what no cache knew."""
    return {
        "input_tokens": count_tokens(body["messages"]),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": count_tokens(body["system"]) if body.get("system") else 0,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def message(body: dict[str, Any], content: list[dict[str, str]], stop_reason: str | None, count: int) -> dict[str, Any]:
    """Return the message object."""
    return {
        "id": answer_id("msg_", body),
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": usage(body, count),
    }


async def messages(request: web.Request) -> web.StreamResponse:
    """POST /v1/messages"""
    try:
        body = await read_object(request)
    except BadRequest as refused:
        return error(400, "invalid_request_error", str(refused))
    if (refused_with := refusal(body)) is not None:
        return refused_with
    words = answer_words(body["messages"])
    limit = body["max_tokens"] if isinstance(body["max_tokens"], int) else len(words)
    stop_reason = "max_tokens" if limit < len(words) else "end_turn"
    words = words[:limit]
    headers = {"request-id": answer_id("req_", body)}
    if body.get("stream"):
        return await event_stream(request, frames(body, words, stop_reason, request.config_dict[PACE_S]), headers)
    content = [{"type": "text", "text": " ".join(words)}]
    return web.json_response(message(body, content, stop_reason, len(words)), headers=headers)


async def frames(body: dict[str, Any], words: list[str], stop_reason: str, pace_s: float) -> AsyncIterator[bytes]:
    """Yield the events of a message stream."""
    yield event("message_start", message=message(body, [], None, 1))
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    yield event("ping")
    for piece in pieces(words):
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
        await asyncio.sleep(pace_s)
    yield event("content_block_stop", index=0)
    unfinished = {"stop_reason": None, "stop_sequence": None}
    yield event("message_delta", delta=unfinished, usage={"output_tokens": len(words) // 2})
    yield event("message_delta", delta=unfinished | {"stop_reason": stop_reason}, usage=usage(body, len(words)))
    yield event("message_stop")


def event(kind: str, **fields: object) -> bytes:
    """Return one named event frame."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def routes() -> list[web.RouteDef]:
    """Return the routes of this API."""
    return [web.post("/v1/messages", messages)]
