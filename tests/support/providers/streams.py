"""Event streams of the demo: how fast they run, and that a reader may leave them (WHATWG HTML
§9.2).
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final

from aiohttp import web

PACE_S: Final = web.AppKey("pace_s", float)
"""Seconds between two frames of a stream; tests set it to nothing."""

DEFAULT_PACE_S: Final = 0.04
"""About 25 frames a second, as fast as a language model writes."""


async def event_stream(
    request: web.Request,
    frames: AsyncIterator[bytes],
    headers: Mapping[str, str] | None = None,
    *,
    content_type: str = "text/event-stream",
) -> web.StreamResponse:
    """Send ready-made frames one by one; ends early, without complaint, when the reader leaves."""
    response = web.StreamResponse(headers={"Cache-Control": "no-cache", **(headers or {})})
    response.content_type = content_type
    response.charset = "utf-8"
    await response.prepare(request)

    try:
        async for frame in frames:
            await response.write(frame)
        await response.write_eof()
    except ConnectionResetError:
        pass  # half of the sample traffic does it

    return response


async def pause(request: web.Request, frames: int = 1) -> None:
    await asyncio.sleep(frames * request.config_dict[PACE_S])
