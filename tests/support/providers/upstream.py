"""The demo upstream with every provider: what sidelog reads and the demo does not show."""

from aiohttp import web

from proxy.demo import upstream
from tests.support.providers import gemini, ollama, openai


def application(pace_s: float) -> web.Application:
    """Return the upstream; `pace_s` is the pause between two frames of its streams, seconds."""
    app = upstream.application(pace_s)
    for part in (openai, gemini, ollama):
        app.router.add_routes(part.routes())
    return app
