"""A fake Ollama: chat, generate and embed, on their public wire format.

Streams, which are the default, are lines of JSON; the one with `done: true` has the counts and
durations, in nanoseconds. Model `llama-broken` always fails, `llama-faulty` fails in the middle of
its streams, and a model whose name does not begin with `llama` does not exist.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from aiohttp import web

from tests.support.providers.llm import (
    BadRequest,
    answer_words,
    count_tokens,
    pieces,
    read_object,
    tool_arguments,
)
from tests.support.providers.openai import vector
from tests.support.providers.streams import PACE_S, event_stream

CREATED_AT: Final = "2026-01-01T00:00:00Z"
BUSY_MODEL: Final = "llama-busy"
BROKEN_MODEL: Final = "llama-broken"
FAULTY_MODEL: Final = "llama-faulty"
DIMENSIONS: Final = 64
TOKEN_NS: Final = 20_000_000

Piece = Callable[[str], dict[str, Any]]
"""Word text the way an endpoint does."""


def error(status: int, message: str) -> web.Response:
    """Return an error in this API's shape."""
    return web.json_response({"error": message}, status=status)


async def read(request: web.Request) -> dict[str, Any] | web.Response:
    """Read a request; return what is wrong with it instead when it cannot be answered."""
    try:
        body = await read_object(request)
    except BadRequest as refused:
        return error(400, str(refused))

    model = body.get("model")
    if not isinstance(model, str) or not model:
        return error(400, "model is required")
    if model == BUSY_MODEL:
        return error(429, "too many requests")
    if model == BROKEN_MODEL:
        return error(500, "llama runner process has terminated")
    if model.startswith("llama"):
        return body

    return error(404, f"model '{model}' not found")


def final(prompt: object, count: int) -> dict[str, Any]:
    """Return the counts and durations of the last line."""
    prompt_tokens = count_tokens(prompt)
    return {
        "done": True,
        "done_reason": "stop",
        "total_duration": (prompt_tokens + count) * TOKEN_NS,
        "load_duration": TOKEN_NS,
        "prompt_eval_count": prompt_tokens,
        "prompt_eval_duration": prompt_tokens * TOKEN_NS,
        "eval_count": count,
        "eval_duration": count * TOKEN_NS,
    }


async def answer(
    request: web.Request,
    body: dict[str, Any],
    prompt: object,
    piece: Piece,
    call: dict[str, Any] | None = None,
) -> web.StreamResponse:
    """Send an answer in words, or the call of a tool, in lines or whole."""
    head = {"model": body["model"], "created_at": CREATED_AT}
    words = answer_words(prompt)
    if body.get("stream", True):
        said = [call] if call is not None else [piece(word) for word in pieces(words)]
        if body["model"] == FAULTY_MODEL:
            lines = [head | part | {"done": False} for part in said[:2]] + [
                {"error": "an error was encountered"}
            ]
        else:
            last = head | piece("") | final(prompt, len(said))
            lines = [*(head | part | {"done": False} for part in said), last]

        frames = paced(lines, request.config_dict[PACE_S])
        return await event_stream(request, frames, content_type="application/x-ndjson")

    whole = piece(" ".join(words)) if call is None else call
    return web.json_response(head | whole | final(prompt, len(words) if call is None else 1))


async def paced(lines: list[dict[str, Any]], pace_s: float) -> AsyncIterator[bytes]:
    """Yield lines of JSON."""
    for line in lines:
        yield json.dumps(line).encode() + b"\n"
        await asyncio.sleep(pace_s)


def called_tool(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return a message that calls the first tool offered, None without one, or when its result was
    just sent.
    """
    tools = body.get("tools")
    last = body["messages"][-1]
    if not isinstance(tools, list) or not tools or last.get("role") == "tool":
        return None

    function = tools[0]["function"]
    arguments = tool_arguments(function.get("parameters"), [last])
    call = {"function": {"name": function["name"], "arguments": arguments}}
    return {"message": {"role": "assistant", "content": "", "tool_calls": [call]}}


async def chat(request: web.Request) -> web.StreamResponse:
    """POST /api/chat"""
    body = await read(request)
    if isinstance(body, web.Response):
        return body
    if not body.get("messages"):
        return error(400, "messages are required")

    def piece(text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text}}

    return await answer(request, body, body["messages"], piece, called_tool(body))


async def generate(request: web.Request) -> web.StreamResponse:
    """POST /api/generate"""
    body = await read(request)
    if isinstance(body, web.Response):
        return body
    return await answer(request, body, body.get("prompt", ""), lambda text: {"response": text})


async def embed(request: web.Request) -> web.StreamResponse:
    """POST /api/embed"""
    body = await read(request)
    if isinstance(body, web.Response):
        return body

    asked = body["input"] if isinstance(body.get("input"), list) else [body.get("input", "")]
    counts = {
        "total_duration": TOKEN_NS,
        "load_duration": TOKEN_NS,
        "prompt_eval_count": count_tokens(asked),
    }
    embeddings = [vector(str(text), DIMENSIONS) for text in asked]
    return web.json_response({"model": body["model"], "embeddings": embeddings, **counts})


def routes() -> list[web.RouteDef]:
    """Return the routes of this API."""
    return [
        web.post("/api/chat", chat),
        web.post("/api/generate", generate),
        web.post("/api/embed", embed),
    ]
