"""An upstream that lets the beginning of an answer through and holds the rest until its reader says
it has that.

It asks another upstream, takes the whole answer, and cuts it behind as many frames as the request's
`x-gate-frames` says; without that it lets everything through. So a test that gets the first frame
before it opens the gate has proved that nobody on the way kept it back: no clock is asked.
"""

import asyncio
import re
import urllib.request
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import ClientSession, web

FRAMES_HEADER: Final = "x-gate-frames"
_OPEN: Final = "/gate/open"
_FRAME_END: Final = re.compile(rb"\r?\n\r?\n")
_LINE_END: Final = re.compile(rb"\r?\n")
_OF_THE_CONNECTION: Final = ("Content-Length", "Transfer-Encoding", "Date", "Server", "Connection")
_GATE: Final = web.AppKey("gate", asyncio.Event)
_SESSION: Final = web.AppKey("session", ClientSession)


def open_gate(upstream: str) -> None:
    """Let the answer that is held back, or the next one, go on."""
    with urllib.request.urlopen(upstream + _OPEN, data=b"", timeout=60):
        pass


def cut(body: bytes, content_type: str, frames: int) -> int:
    """Find the place behind so many frames."""
    ends = _FRAME_END if content_type == "text/event-stream" else _LINE_END
    return [found.end() for found in ends.finditer(body)][frames - 1]


def gated(origin: str) -> web.Application:
    """Return the application; `origin` is the upstream that knows the answers."""

    async def relay(request: web.Request) -> web.StreamResponse:
        headers = {"Content-Type": request.content_type}
        session = request.config_dict[_SESSION]
        async with session.post(
            origin + request.raw_path, data=await request.read(), headers=headers
        ) as answer:
            body = await answer.read()

        kept = {
            name: value for name, value in answer.headers.items() if name not in _OF_THE_CONNECTION
        }
        response = web.StreamResponse(status=answer.status, headers=kept)
        await response.prepare(request)
        if FRAMES_HEADER not in request.headers:
            await response.write(body)
            return response

        place = cut(body, answer.content_type, int(request.headers[FRAMES_HEADER]))
        await response.write(body[:place])
        gate = request.config_dict[_GATE]
        await gate.wait()
        gate.clear()

        try:
            await response.write(body[place:])
            await response.write_eof()
        except ConnectionResetError:
            pass  # the reader wanted no more

        return response

    async def opened(request: web.Request) -> web.Response:
        request.config_dict[_GATE].set()
        return web.Response()

    async def session(app: web.Application) -> AsyncIterator[None]:
        app[_GATE] = asyncio.Event()
        async with ClientSession() as app[_SESSION]:
            yield

    app = web.Application()
    app.cleanup_ctx.append(session)
    app.router.add_post(_OPEN, opened)
    app.router.add_post("/{tail:.*}", relay)
    return app
