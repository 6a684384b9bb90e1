"""An upstream with every provider that sidelog reads, beside the JSON API and MCP of the demo."""

from aiohttp import web

from proxy.demo import json_api, mcp, upstream
from tests.support.providers import anthropic, gemini, interactions, ollama, openai, openai_chat


def application(pace_s: float) -> web.Application:
    """Return the upstream; `pace_s` is the pause between two frames of its streams, seconds."""
    return upstream.application(pace_s, (json_api, openai_chat, openai, anthropic, gemini, interactions, ollama, mcp))
