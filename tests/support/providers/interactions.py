"""Fake interactions of Gemini, plain and streamed, on their public wire format: one step that
thinks, one that says.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from tests.support.providers.gemini import error
from tests.support.providers.llm import (
    BadRequest,
    answer_id,
    answer_words,
    count_tokens,
    pieces,
    read_object,
)
from tests.support.providers.streams import PACE_S, event_stream

THOUGHTS = 5


def interaction(body: dict[str, Any], status: str, **more: Any) -> dict[str, Any]:
    """Return an interaction, which repeats nothing of what was asked."""
    return {
        "id": answer_id("v1_", body), "object": "interaction", "status": status, "model": body["model"],
        "service_tier": "standard",
    } | more  # fmt: skip


def ended(body: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """Return what an interaction has at its end: its counts."""
    prompt = count_tokens(body["input"])
    usage = {
        "total_input_tokens": prompt, "total_output_tokens": len(words), "total_thought_tokens": THOUGHTS,
        "total_cached_tokens": 0, "total_tool_use_tokens": 0, "total_tokens": prompt + len(words) + THOUGHTS,
    }  # fmt: skip
    return interaction(body, "completed", usage=usage)


def events(body: dict[str, Any], words: list[str]) -> list[dict[str, Any]]:
    """Return the events of a stream, in order."""
    said = [{"index": 1, "delta": {"type": "text", "text": word}} for word in pieces(words)]
    return [
        {"interaction": interaction(body, "in_progress"), "event_type": "interaction.created"},
        {"index": 0, "step": {"type": "thought", "signature": "c2ln"}, "event_type": "step.start"},
        {"index": 0, "event_type": "step.stop"},
        {"index": 1, "step": {"type": "model_output"}, "event_type": "step.start"},
        *[event | {"event_type": "step.delta"} for event in said],
        {"index": 1, "event_type": "step.stop"},
        {"interaction": ended(body, words), "event_type": "interaction.completed"},
    ]


async def frames(found: list[dict[str, Any]], pace_s: float) -> AsyncIterator[bytes]:
    """Yield events with the names of their types."""
    for event in found:
        yield f"event: {event['event_type']}\ndata: {json.dumps(event)}\n\n".encode()
        await asyncio.sleep(pace_s)
    yield b"event: done\ndata: [DONE]\n\n"


async def interact(request: web.Request) -> web.StreamResponse:
    """POST /v1/interactions"""
    try:
        body = await read_object(request)
    except BadRequest as refused:
        return error(400, "INVALID_ARGUMENT", str(refused))

    if not str(body.get("model")).startswith("gemini"):
        return error(404, "NOT_FOUND", f"models/{body.get('model')} is not found")

    words = answer_words(body["input"])
    if body.get("stream"):
        return await event_stream(request, frames(events(body, words), request.config_dict[PACE_S]))

    steps = [
        {"type": "thought", "signature": "c2ln"},
        {"type": "model_output", "content": [{"type": "text", "text": " ".join(words)}]},
    ]
    return web.json_response(ended(body, words) | {"steps": steps})


def routes() -> list[web.RouteDef]:
    """Return the route of this API, under both of its versions."""
    return [web.post("/{version:v1|v1beta}/interactions", interact)]
