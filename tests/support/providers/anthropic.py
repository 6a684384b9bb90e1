"""A fake Anthropic API: messages, plain and streamed, on their public wire format.

In a stream, `message_start` has the input's counts and each `message_delta` the counts *so far*:
they replace what came before and are never added up; two of them are sent here to show it. Who
offers tools has the first one called. Model `claude-busy` is always overloaded, `claude-limited`
rate-limited, `claude-broken` always fails, `claude-faulty` fails in the middle of its streams, and
a model whose name does not begin with `claude` does not exist.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from aiohttp import web

from tests.support.providers.llm import (
    BadRequest,
    answer_id,
    answer_words,
    count_tokens,
    pieces,
    read_object,
    tool_arguments,
)
from tests.support.providers.streams import PACE_S, event_stream

OVERLOADED: Final = 529
"""This API's own status for being overloaded."""
FAULTY_MODEL: Final = "claude-faulty"
FAILING_MODELS: Final = {
    "claude-busy": (OVERLOADED, "overloaded_error", "overloaded"),
    "claude-limited": (429, "rate_limit_error", "this request would exceed the rate limit"),
    "claude-broken": (500, "api_error", "internal server error"),
}
"""Model → status, type and message of its one answer."""


def error(status: int, kind: str, message: str) -> web.Response:
    """Return an error in this API's shape."""
    return web.json_response(
        {"type": "error", "error": {"type": kind, "message": message}}, status=status
    )


def refusal(body: dict[str, Any]) -> web.Response | None:
    """Return what is wrong with a request, None when it can be answered."""
    for key in ("model", "max_tokens", "messages"):
        if not body.get(key):
            return error(400, "invalid_request_error", f"{key}: field required")
    if (failure := FAILING_MODELS.get(str(body["model"]))) is not None:
        return error(*failure)
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


def called_tool(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the `tool_use` block of the answer, None when it is in words: no tool, or its result
    was just sent.
    """
    tools = body.get("tools")
    last = body["messages"][-1]

    parts = last["content"] if isinstance(last.get("content"), list) else []
    if (
        not isinstance(tools, list)
        or not tools
        or any(part.get("type") == "tool_result" for part in parts)
    ):
        return None

    arguments = tool_arguments(tools[0].get("input_schema"), [last])
    return {
        "type": "tool_use",
        "id": answer_id("toolu_", body),
        "name": tools[0]["name"],
        "input": arguments,
    }


def message(
    body: dict[str, Any], content: list[dict[str, Any]], stop_reason: str | None, count: int
) -> dict[str, Any]:
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
    tool = called_tool(body)
    limit = body["max_tokens"] if isinstance(body["max_tokens"], int) else len(words)
    stop_reason = "max_tokens" if limit < len(words) else "end_turn"
    words = words[:limit]
    content: list[dict[str, Any]] = [{"type": "text", "text": " ".join(words)}]

    if tool is not None:
        stop_reason = "tool_use"
        words = [tool["name"]]
        content = [tool]

    headers = {"request-id": answer_id("req_", body)}
    if body.get("stream"):
        deltas = text_frames(words) if tool is None else tool_frames(tool)
        return await event_stream(
            request, frames(body, deltas, words, stop_reason, request.config_dict[PACE_S]), headers
        )

    return web.json_response(message(body, content, stop_reason, len(words)), headers=headers)


def text_frames(words: list[str]) -> Iterator[bytes]:
    """Yield the beginning and the deltas of a block of text."""
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    yield event("ping")
    for piece in pieces(words):
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})


def tool_frames(tool: dict[str, Any]) -> Iterator[bytes]:
    """Yield the beginning and the deltas of a call: its input comes as JSON in two parts."""
    yield event("content_block_start", index=0, content_block=tool | {"input": {}})
    text = json.dumps(tool["input"])
    for part in (text[: len(text) // 2], text[len(text) // 2 :]):
        yield event(
            "content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": part}
        )


async def frames(
    body: dict[str, Any], deltas: Iterator[bytes], words: list[str], stop_reason: str, pace_s: float
) -> AsyncIterator[bytes]:
    """Yield the events of a message stream."""
    yield event("message_start", message=message(body, [], None, 1))
    for number, delta in enumerate(deltas):
        yield delta
        await asyncio.sleep(pace_s)
        if number == 2 and body["model"] == FAULTY_MODEL:
            yield event("error", error={"type": "overloaded_error", "message": "overloaded"})
            return

    yield event("content_block_stop", index=0)
    unfinished = {"stop_reason": None, "stop_sequence": None}
    yield event("message_delta", delta=unfinished, usage={"output_tokens": len(words) // 2})
    yield event(
        "message_delta",
        delta=unfinished | {"stop_reason": stop_reason},
        usage=usage(body, len(words)),
    )
    yield event("message_stop")


def event(kind: str, **fields: object) -> bytes:
    """Return one named event frame."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def routes() -> list[web.RouteDef]:
    """Return the routes of this API."""
    return [web.post("/v1/messages", messages)]
