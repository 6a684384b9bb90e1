"""The rest of the fake OpenAI API: responses, embeddings and the older completions, on their wire
formats.

The models that fail are those of `openai_chat.py`.
"""

import asyncio
import base64
import json
import struct
import zlib
from collections.abc import AsyncIterator
from typing import Any, Final

from aiohttp import web

from tests.support.providers.llm import (
    CREATED,
    answer_id,
    answer_words,
    count_tokens,
    pieces,
    tool_arguments,
)
from tests.support.providers.openai_chat import checked, data_frame, fault
from tests.support.providers.streams import PACE_S, event_stream

DEFAULT_DIMENSIONS: Final = 256


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
        "output": [called_function(body) or output_item(body, words, is_complete=True)]
        if is_complete
        else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": body.get("tools") or [],
        "usage": usage if is_complete else None,
    }


def called_function(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the call of the first function offered, None without one, or when its output was just
    sent.
    """
    tools = body.get("tools")
    asked = body["input"]
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
        return await event_stream(
            request, response_frames(body, words, request.config_dict[PACE_S])
        )
    return web.json_response(response_object(body, words, is_complete=True))


async def response_frames(
    body: dict[str, Any], words: list[str], pace_s: float
) -> AsyncIterator[bytes]:
    """Yield the events of a response stream, numbered, the last one `response.completed` with the
    usage.
    """
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
        yield event(
            "response.function_call_arguments.done",
            **place,
            name=call["name"],
            arguments=call["arguments"],
        )
        yield event("response.output_item.done", output_index=0, item=call)
        yield event("response.completed", response=response_object(body, words, is_complete=True))
        return

    item_id = answer_id("msg_", body)
    text = " ".join(words)
    place = {"item_id": item_id, "output_index": 0, "content_index": 0}
    empty = {"type": "output_text", "text": "", "annotations": []}
    yield event(
        "response.output_item.added",
        output_index=0,
        item=output_item(body, words, is_complete=False),
    )
    yield event("response.content_part.added", **place, part=empty)

    for piece in pieces(words):
        yield event("response.output_text.delta", **place, delta=piece, logprobs=[])
        await asyncio.sleep(pace_s)
        if (found := fault(body)) is not None:
            yield event("error", **found, param=None)
            return

    yield event("response.output_text.done", **place, text=text, logprobs=[])
    yield event("response.content_part.done", **place, part=empty | {"text": text})
    yield event(
        "response.output_item.done", output_index=0, item=output_item(body, words, is_complete=True)
    )
    yield event("response.completed", response=response_object(body, words, is_complete=True))


def vector(text: str, dimensions: int) -> list[float]:
    """Return an embedding: numbers between -1 and 1 that follow from the text."""
    return [
        zlib.crc32(f"{index}:{text}".encode(errors="replace")) / 2**31 - 1
        for index in range(dimensions)
    ]


async def embeddings(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """POST /v1/embeddings; `encoding_format: base64`, which the official client asks for, is
    float32, little-endian.
    """
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
    return web.json_response(
        {"object": "list", "data": data, "model": body["model"], "usage": usage}
    )


async def legacy(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """POST /v1/completions: the older endpoint, plain only."""
    words = answer_words(body["prompt"])
    prompt = count_tokens(body["prompt"])
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": len(words),
        "total_tokens": prompt + len(words),
    }
    choice = {"index": 0, "text": " ".join(words), "logprobs": None, "finish_reason": "stop"}
    head = {
        "id": answer_id("cmpl-", body),
        "object": "text_completion",
        "created": CREATED,
        "model": body["model"],
    }
    return web.json_response(head | {"choices": [choice], "usage": usage})


def routes() -> list[web.RouteDef]:
    """Return the routes of this API."""
    return [
        web.post("/v1/completions", checked(legacy, "prompt")),
        web.post("/v1/responses", checked(responses, "input")),
        web.post("/v1/embeddings", checked(embeddings, "input")),
    ]
