"""An upstream with every provider that sidelog reads, beside a JSON API and a server of MCP."""

from typing import Final

from aiohttp import web

from proxy.demo.upstream import echo, index
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


def application(pace_s: float) -> web.Application:
    """Return the upstream; `pace_s` is the pause between two frames of its streams, seconds."""
    app = web.Application()
    app[PACE_S] = pace_s
    app.router.add_get("/", index)
    app.router.add_get("/ws", echo)
    for part in _PARTS:
        app.router.add_routes(part.routes())
    return app
