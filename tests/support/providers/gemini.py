"""A fake Gemini API: content, plain and streamed, and embeddings, on their public wire format.

A stream is events with `alt=sse` and a JSON array without. Each chunk repeats the counts *so far*.
A prompt with the word `forbidden` in it is blocked, which is a 200 without candidates. Model
`gemini-busy` is always out of quota, `gemini-broken` always fails, `gemini-faulty` fails in the
middle of its streams, and a model whose name does not begin with `gemini` does not exist.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from tests.support.providers.llm import (
    BadRequest,
    answer_id,
    answer_words,
    count_tokens,
    pieces,
    read_object,
    texts,
    tool_arguments,
)
from tests.support.providers.openai import vector
from tests.support.providers.streams import PACE_S, event_stream

FAULTY_MODEL: Final = "gemini-faulty"
DIMENSIONS: Final = 64
INTERNAL: Final = (500, "INTERNAL", "an internal error has occurred")
FAILING_MODELS: Final = {
    "gemini-busy": (429, "RESOURCE_EXHAUSTED", "quota exceeded"),
    "gemini-broken": INTERNAL,
}
"""Model → code, status and message of its one answer."""

Answer = Callable[[web.Request, dict[str, Any], str], Awaitable[web.StreamResponse]]


def error_object(code: int, status: str, message: str) -> dict[str, Any]:
    """Return an error in this API's shape."""
    return {"error": {"code": code, "message": message, "status": status}}


def error(code: int, status: str, message: str) -> web.Response:
    """Return an error as an answer."""
    return web.json_response(error_object(code, status, message), status=code)


def checked(
    answer: Answer, required: str
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Wrap a method of a model: read the body, refuse what lacks `required`, unknown and failing
    models.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        model = request.match_info["model"]
        try:
            body = await read_object(request)
        except BadRequest as refused:
            return error(400, "INVALID_ARGUMENT", str(refused))

        if not body.get(required):
            return error(400, "INVALID_ARGUMENT", f"{required} is not specified")

        limit = (body.get("generationConfig") or {}).get("maxOutputTokens", 1)
        if limit < 1:
            return error(
                400, "INVALID_ARGUMENT", f"max_output_tokens must be positive, got {limit}"
            )
        if (failure := FAILING_MODELS.get(model)) is not None:
            return error(*failure)
        if not model.startswith("gemini"):
            return error(404, "NOT_FOUND", f"models/{model} is not found for API version v1beta")

        return await answer(request, body, model)

    return handle


def usage(body: dict[str, Any], count: int) -> dict[str, int]:
    """Return the counts when `count` tokens were written."""
    prompt = count_tokens(body["contents"])
    return {
        "promptTokenCount": prompt,
        "candidatesTokenCount": count,
        "totalTokenCount": prompt + count,
    }


def chunk(
    body: dict[str, Any], model: str, part: dict[str, Any] | None, reason: str | None, count: int
) -> dict[str, Any]:
    """Return an answer, or a piece of one."""
    candidate: dict[str, Any] = {
        "content": {"parts": [] if part is None else [part], "role": "model"},
        "index": 0,
    }
    if reason is not None:
        candidate["finishReason"] = reason
    return {
        "candidates": [candidate],
        "usageMetadata": usage(body, count),
        "modelVersion": f"{model}-001",
        "responseId": answer_id("", body),
    }


def blocked(body: dict[str, Any], model: str) -> dict[str, Any] | None:
    """Return the answer to a prompt that may not be answered, None when it may."""
    if not any("forbidden" in text for text in texts(body["contents"])):
        return None
    counts = {
        "promptTokenCount": count_tokens(body["contents"]),
        "totalTokenCount": count_tokens(body["contents"]),
    }
    return {
        "promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": counts,
        "modelVersion": f"{model}-001",
    }


def called_tool(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the part that calls the first function offered, None without one, or when its result
    was just sent.
    """
    tools = body.get("tools")
    last = body["contents"][-1]
    offered = tools[0].get("functionDeclarations") if isinstance(tools, list) and tools else None
    if not offered or any("functionResponse" in part for part in last.get("parts") or []):
        return None

    schema = offered[0].get("parameters") or offered[0].get("parametersJsonSchema")
    return {"functionCall": {"name": offered[0]["name"], "args": tool_arguments(schema, [last])}}


def chunks(body: dict[str, Any], model: str) -> list[dict[str, Any]]:
    """Return the pieces of the answer, in order."""
    if (refusal := blocked(body, model)) is not None:
        return [refusal]
    if (part := called_tool(body)) is not None:
        return [chunk(body, model, part, "STOP", 1)]

    words = list(pieces(answer_words(body["contents"])))
    found = [chunk(body, model, {"text": word}, None, count) for count, word in enumerate(words, 1)]
    if model == FAULTY_MODEL:
        return [*found[:2], error_object(*INTERNAL)]

    return [*found, chunk(body, model, None, "STOP", len(words))]


async def generate(request: web.Request, body: dict[str, Any], model: str) -> web.StreamResponse:
    """POST /v1beta/models/{model}:generateContent"""
    if (refusal := blocked(body, model)) is not None:
        return web.json_response(refusal)
    part = called_tool(body)
    words = answer_words(body["contents"])
    count = len(words) if part is None else 1
    return web.json_response(chunk(body, model, part or {"text": " ".join(words)}, "STOP", count))


async def stream(request: web.Request, body: dict[str, Any], model: str) -> web.StreamResponse:
    """POST /v1beta/models/{model}:streamGenerateContent"""
    is_events = request.query.get("alt") == "sse"
    frames = paced(chunks(body, model), request.config_dict[PACE_S], is_events=is_events)
    return await event_stream(
        request, frames, content_type="text/event-stream" if is_events else "application/json"
    )


async def paced(
    found: list[dict[str, Any]], pace_s: float, *, is_events: bool
) -> AsyncIterator[bytes]:
    """Yield pieces as events, or as the elements of one array."""
    for number, piece in enumerate(found):
        text = json.dumps(piece)
        yield (
            f"data: {text}\r\n\r\n" if is_events else f"{',' if number else '['}{text}\r\n"
        ).encode()
        await asyncio.sleep(pace_s)

    if not is_events:
        yield b"]"


async def embed(request: web.Request, body: dict[str, Any], model: str) -> web.StreamResponse:
    """POST /v1beta/models/{model}:batchEmbedContents"""
    asked = [" ".join(texts(one.get("content"))) for one in body["requests"]]
    return web.json_response(
        {"embeddings": [{"values": vector(text, DIMENSIONS)} for text in asked]}
    )


def routes() -> list[web.RouteDef]:
    """Return the routes of this API, under both of its versions."""
    path = "/{version:v1|v1beta}/models/{model:[^/:]+}:"
    return [
        web.post(f"{path}generateContent", checked(generate, "contents")),
        web.post(f"{path}streamGenerateContent", checked(stream, "contents")),
        web.post(f"{path}batchEmbedContents", checked(embed, "requests")),
    ]
