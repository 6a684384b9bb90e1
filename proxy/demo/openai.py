"""A fake OpenAI API: chat completions, responses and embeddings, plain and streamed, on their public wire formats.

Chat is in `openai_chat.py`. Model `gpt-busy` is always rate-limited, `gpt-broken` always fails, `gpt-faulty` fails in
the middle of its streams, and a model whose name begins with neither `gpt`, `o` nor `text-embedding` does not exist.
"""

import asyncio
import base64
import json
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from proxy.demo.llm import (
    CREATED,
    BadRequest,
    answer_id,
    answer_words,
    count_tokens,
    pieces,
    read_object,
    tool_arguments,
)
from proxy.demo.openai_chat import chat, data_frame, fault, legacy
from proxy.demo.streams import PACE_S, event_stream

Answer = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]

MODELS: Final = ("gpt-4o-mini", "gpt-4o", "o4-mini", "text-embedding-3-small")
BUSY_MODEL: Final = "gpt-busy"
BROKEN_MODEL: Final = "gpt-broken"
DEFAULT_DIMENSIONS: Final = 256


def error(status: int, message: str, kind: str, code: str | None, param: str | None = None) -> web.Response:
    """Return an error in this API's shape."""
    headers = {"Retry-After": "2", "x-ratelimit-remaining-requests": "0"} if status == 429 else None
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return web.json_response(body, status=status, headers=headers)


def checked(answer: Answer, required: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Wrap an endpoint: read the body, refuse what lacks `required`, unknown models and the busy one."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            body = await read_object(request)
        except BadRequest as refused:
            return error(400, str(refused), "invalid_request_error", None)
        model = body.get("model")
        if not isinstance(model, str):
            return error(400, "you must provide a model parameter", "invalid_request_error", None, "model")
        if model == BUSY_MODEL:
            return error(429, f"rate limit reached for {model}", "requests", "rate_limit_exceeded")
        if model == BROKEN_MODEL:
            return error(500, "the server had an error while processing your request", "server_error", None)
        if not model.startswith(("gpt", "o", "text-embedding")):
            message = f"the model `{model}` does not exist or you do not have access to it"
            return error(404, message, "invalid_request_error", "model_not_found", "model")
        if not body.get(required):
            message = f"missing required parameter: '{required}'"
            return error(400, message, "invalid_request_error", "missing_required_parameter", required)
        return await answer(request, body)

    return handle


def response_object(body: dict[str, Any], words: list[str], *, is_complete: bool) -> dict[str, Any]:
    """Return the object of the responses API, before or after its text is there."""
    prompt = count_tokens(body["input"])
    usage = {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": len(words),
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt + len(words),
    }
    return {
        "id": answer_id("resp_", body),
        "object": "response",
        "created_at": CREATED,
        "status": "completed" if is_complete else "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "model": body["model"],
        "output": [called_function(body) or output_item(body, words, is_complete=True)] if is_complete else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": body.get("tools") or [],
        "usage": usage if is_complete else None,
    }


def called_function(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the call of the first function offered, None without one, or when its output was just sent."""
    tools, asked = body.get("tools"), body["input"]
    is_answered = isinstance(asked, list) and asked[-1].get("type") == "function_call_output"
    if not isinstance(tools, list) or not tools or is_answered:
        return None
    arguments = json.dumps(tool_arguments(tools[0].get("parameters"), asked))
    call = {"type": "function_call", "call_id": answer_id("call_", body), "name": tools[0]["name"]}
    return call | {"id": answer_id("fc_", body), "arguments": arguments, "status": "completed"}


def output_item(body: dict[str, Any], words: list[str], *, is_complete: bool) -> dict[str, Any]:
    """Return the one message of a response."""
    part = {"type": "output_text", "text": " ".join(words), "annotations": []}
    return {
        "id": answer_id("msg_", body),
        "type": "message",
        "role": "assistant",
        "status": "completed" if is_complete else "in_progress",
        "content": [part] if is_complete else [],
    }


async def responses(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """POST /v1/responses"""
    words = answer_words(body["input"])
    if body.get("stream"):
        return await event_stream(request, response_frames(body, words, request.config_dict[PACE_S]))
    return web.json_response(response_object(body, words, is_complete=True))


async def response_frames(body: dict[str, Any], words: list[str], pace_s: float) -> AsyncIterator[bytes]:
    """Yield the events of a response stream, numbered, the last one `response.completed` with the usage."""
    number = 0

    def event(kind: str, **fields: object) -> bytes:
        nonlocal number
        value = {"type": kind, "sequence_number": number, **fields}
        number += 1
        return f"event: {kind}\n".encode() + data_frame(value)

    yield event("response.created", response=response_object(body, words, is_complete=False))
    yield event("response.in_progress", response=response_object(body, words, is_complete=False))
    if (call := called_function(body)) is not None:
        place = {"item_id": call["id"], "output_index": 0}
        began = call | {"arguments": "", "status": "in_progress"}
        yield event("response.output_item.added", output_index=0, item=began)
        yield event("response.function_call_arguments.delta", **place, delta=call["arguments"])
        yield event("response.function_call_arguments.done", **place, name=call["name"], arguments=call["arguments"])
        yield event("response.output_item.done", output_index=0, item=call)
        yield event("response.completed", response=response_object(body, words, is_complete=True))
        return
    item_id, text = answer_id("msg_", body), " ".join(words)
    place = {"item_id": item_id, "output_index": 0, "content_index": 0}
    empty = {"type": "output_text", "text": "", "annotations": []}
    yield event("response.output_item.added", output_index=0, item=output_item(body, words, is_complete=False))
    yield event("response.content_part.added", **place, part=empty)
    for piece in pieces(words):
        yield event("response.output_text.delta", **place, delta=piece, logprobs=[])
        await asyncio.sleep(pace_s)
        if (found := fault(body)) is not None:
            yield event("error", **found, param=None)
            return
    yield event("response.output_text.done", **place, text=text, logprobs=[])
    yield event("response.content_part.done", **place, part=empty | {"text": text})
    yield event("response.output_item.done", output_index=0, item=output_item(body, words, is_complete=True))
    yield event("response.completed", response=response_object(body, words, is_complete=True))


def vector(text: str, dimensions: int) -> list[float]:
    """Return an embedding: numbers between -1 and 1 that follow from the text."""
    return [zlib.crc32(f"{index}:{text}".encode(errors="replace")) / 2**31 - 1 for index in range(dimensions)]


async def embeddings(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """POST /v1/embeddings; `encoding_format: base64`, which the official client asks for, is float32, little-endian."""
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    given = body.get("dimensions")
    dimensions = given if isinstance(given, int) and 1 <= given <= 3072 else DEFAULT_DIMENSIONS
    data = []
    for index, text in enumerate(inputs):
        numbers = vector(str(text), dimensions)
        packed = base64.b64encode(struct.pack(f"<{dimensions}f", *numbers)).decode()
        embedding = packed if body.get("encoding_format") == "base64" else numbers
        data.append({"object": "embedding", "index": index, "embedding": embedding})
    tokens = count_tokens(body["input"])
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return web.json_response({"object": "list", "data": data, "model": body["model"], "usage": usage})


async def models(request: web.Request) -> web.Response:
    """GET /v1/models"""
    data = [{"id": name, "object": "model", "created": CREATED, "owned_by": "demo"} for name in MODELS]
    return web.json_response({"object": "list", "data": data})


def routes() -> list[web.RouteDef]:
    """Return the routes of this API."""
    return [
        web.post("/v1/chat/completions", checked(chat, "messages")),
        web.post("/v1/completions", checked(legacy, "prompt")),
        web.post("/v1/responses", checked(responses, "input")),
        web.post("/v1/embeddings", checked(embeddings, "input")),
        web.get("/v1/models", models),
    ]
