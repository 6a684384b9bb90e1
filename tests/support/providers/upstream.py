"""An upstream with every provider that sidelog reads, beside a JSON API and a server of MCP."""

from typing import Final

from aiohttp import WSMsgType, web

from tests.support.providers import (
    anthropic,
    gemini,
    interactions,
    json_api,
    mcp,
    ollama,
    openai,
    openai_chat,
)
from tests.support.providers.streams import PACE_S

_PARTS: Final = (json_api, openai_chat, openai, anthropic, gemini, interactions, ollama, mcp)


async def echo(request: web.Request) -> web.WebSocketResponse:
    """GET /ws: a WebSocket that sends back what it gets (RFC 6455)."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)

    return socket


def application(pace_s: float) -> web.Application:
    """Return the upstream; `pace_s` is the pause between two frames of its streams, seconds."""
    app = web.Application()
    app[PACE_S] = pace_s
    app.router.add_get("/ws", echo)
    for part in _PARTS:
        app.router.add_routes(part.routes())
    return app
