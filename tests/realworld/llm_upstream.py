"""An upstream that speaks as Mistral, Cohere and Amazon Bedrock do, for clients that nobody here
wrote.

What it counts follows from nothing: the figures differ from endpoint to endpoint, so that none is
taken for another's.
"""

import base64
import json
import zlib
from collections.abc import Iterable
from struct import pack
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

TOOL = {"name": "weather", "arguments": '{"city": "Bern"}'}


def chat_usage(prompt: int, completion: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


async def chat(request: web.Request) -> web.StreamResponse:
    """POST /v1/chat/completions: of OpenAI's shape, with counts on the chunk that ends the output."""
    body = await request.json()
    head = {"id": "c1", "created": 1, "model": f"{body['model']}-2026"}
    call = {"id": "call12345", "type": "function", "index": 0, "function": TOOL}
    has_tools = bool(body.get("tools"))
    message: dict[str, Any] = {"role": "assistant", "content": "" if has_tools else "hello there"}
    if has_tools:
        message |= {"tool_calls": [call]}
    reason = "tool_calls" if has_tools else "stop"
    used = chat_usage(31, 12 if has_tools else 7)
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return web.json_response(
            head | {"object": "chat.completion", "choices": [choice], "usage": used}
        )

    chunk = head | {"object": "chat.completion.chunk"}
    parts: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": message, "finish_reason": None}]},
        {
            "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": reason}],
            "usage": used,
        },
    ]
    frames = [f"data: {json.dumps(chunk | part)}\n\n".encode() for part in parts]
    return await events(request, [*frames, b"data: [DONE]\n\n"])


async def embeddings(request: web.Request) -> web.Response:
    """POST /v1/embeddings"""
    body = await request.json()
    data = [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}]
    usage = {"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9}
    return web.json_response(
        {"id": "e1", "object": "list", "model": body["model"], "data": data, "usage": usage}
    )


async def cohere_chat(request: web.Request) -> web.StreamResponse:
    """POST /v2/chat"""
    body = await request.json()
    usage = {
        "billed_units": {"input_tokens": 5, "output_tokens": 18},
        "tokens": {"input_tokens": 71, "output_tokens": 21},
    }
    call = {"id": "weather_1", "type": "function", "function": TOOL}

    if not body.get("stream"):
        message: dict[str, Any] = {
            "role": "assistant",
            "content": [{"type": "text", "text": "hello"}],
        }
        if body.get("tools"):
            message = {"role": "assistant", "tool_plan": "I look", "tool_calls": [call]}
        reason = "TOOL_CALL" if body.get("tools") else "COMPLETE"
        return web.json_response(
            {"id": "x", "finish_reason": reason, "message": message, "usage": usage}
        )

    parts: list[dict[str, Any]] = [
        {
            "type": "message-start",
            "id": "x",
            "delta": {"message": {"role": "assistant", "content": []}},
        },
        {
            "type": "content-start",
            "index": 0,
            "delta": {"message": {"content": {"type": "text", "text": ""}}},
        },
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "hello"}}}},
        {"type": "content-end", "index": 0},
        {"type": "message-end", "id": "x", "delta": {"finish_reason": "COMPLETE", "usage": usage}},
    ]
    return await events(
        request, (f"event: {part['type']}\ndata: {json.dumps(part)}\n\n".encode() for part in parts)
    )


async def cohere_embed(request: web.Request) -> web.Response:
    """POST /v2/embed"""
    meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 4}}
    return web.json_response(
        {"id": "x", "embeddings": {"float": [[0.5, 0.25]]}, "texts": ["one"], "meta": meta}
    )


async def cohere_rerank(request: web.Request) -> web.Response:
    """POST /v2/rerank"""
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    return web.json_response(
        {"id": "x", "results": [{"index": 0, "relevance_score": 0.5}], "meta": meta}
    )


CONVERSED = {"inputTokens": 30, "outputTokens": 8, "totalTokens": 48, "cacheReadInputTokens": 10}
USE = {"toolUseId": "t1", "name": "weather"}


async def converse(request: web.Request) -> web.Response:
    """POST /model/{model}/converse"""
    output = {
        "message": {
            "role": "assistant",
            "content": [{"toolUse": USE | {"input": {"city": "Bern"}}}],
        }
    }
    answer = {
        "output": output,
        "stopReason": "tool_use",
        "usage": CONVERSED,
        "metrics": {"latencyMs": 5},
    }
    return web.json_response(answer)


async def converse_stream(request: web.Request) -> web.StreamResponse:
    """POST /model/{model}/converse-stream"""
    parts: list[tuple[str, dict[str, Any]]] = [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockStart", {"start": {"toolUse": USE}, "contentBlockIndex": 0}),
        (
            "contentBlockDelta",
            {"delta": {"toolUse": {"input": '{"city": "Bern"}'}}, "contentBlockIndex": 0},
        ),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "tool_use"}),
        ("metadata", {"usage": CONVERSED, "metrics": {"latencyMs": 5}}),
    ]
    return await binary_events(request, parts)


async def invoke(request: web.Request) -> web.Response:
    """POST /model/{model}/invoke: Mistral's own words, which count nothing; Bedrock does, in the
    head.
    """
    counts = {"x-amzn-bedrock-input-token-count": "17", "x-amzn-bedrock-output-token-count": "3"}
    return web.json_response(
        {"outputs": [{"text": "hello", "stop_reason": "stop"}]}, headers=counts
    )


async def invoke_stream(request: web.Request) -> web.StreamResponse:
    """POST /model/{model}/invoke-with-response-stream: Llama's own words, and Bedrock's counts at
    the end.
    """
    metrics = {
        "inputTokenCount": 13,
        "outputTokenCount": 2,
        "invocationLatency": 5,
        "firstByteLatency": 3,
    }
    common = {"prompt_token_count": None, "stop_reason": None}
    documents: list[dict[str, Any]] = [
        common | {"generation": "good ", "prompt_token_count": 13, "generation_token_count": 1},
        common | {"generation": "day", "generation_token_count": 2, "stop_reason": "stop"},
    ]
    documents[-1]["amazon-bedrock-invocationMetrics"] = metrics
    encoded = (base64.b64encode(json.dumps(part).encode()).decode() for part in documents)
    return await binary_events(request, [("chunk", {"bytes": part}) for part in encoded])


async def events(
    request: web.Request, frames: Iterable[bytes], content_type: str = "text/event-stream"
) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": content_type})
    await answer.prepare(request)
    for frame in frames:
        await answer.write(frame)
    await answer.write_eof()
    return answer


async def binary_events(
    request: web.Request, parts: Iterable[tuple[str, dict[str, Any]]]
) -> web.StreamResponse:
    return await events(
        request, (event(*part) for part in parts), "application/vnd.amazon.eventstream"
    )


def event(name: str, payload: dict[str, Any]) -> bytes:
    """Write a message as the Amazon Event Stream Specification does."""
    fields = (
        (b":event-type", name.encode()),
        (b":content-type", b"application/json"),
        (b":message-type", b"event"),
    )
    headers = b"".join(
        pack(">B", len(key)) + key + b"\x07" + pack(">H", len(text)) + text for key, text in fields
    )
    raw = json.dumps(payload).encode()
    prelude = pack(">II", 16 + len(headers) + len(raw), len(headers))
    message = prelude + pack(">I", zlib.crc32(prelude)) + headers + raw
    return message + pack(">I", zlib.crc32(message))


@web.middleware
async def read_whole(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer only what has come whole: nobody who answers before reads the rest."""
    await request.read()
    return await handler(request)


def application() -> web.Application:
    app = web.Application(middlewares=[read_whole])
    app.router.add_routes(
        [
            web.post("/v1/chat/completions", chat),
            web.post("/v1/embeddings", embeddings),
            web.post("/v2/chat", cohere_chat),
            web.post("/v2/embed", cohere_embed),
            web.post("/v2/rerank", cohere_rerank),
            web.post("/model/{model}/converse", converse),
            web.post("/model/{model}/converse-stream", converse_stream),
            web.post("/model/{model}/invoke", invoke),
            web.post("/model/{model}/invoke-with-response-stream", invoke_stream),
        ]
    )
    return app
