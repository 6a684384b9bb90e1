"""The applications: of the admin port, and of the open address beside it.

The open one has probes and, where it is for Prometheus, metrics: no token, nothing else. Whatever
name it is asked under is answered: nothing there is worth a rebinding, and scrapers use names of
their own.
"""

import re
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from api import health, middleware
from api.access.principal import ANONYMOUS
from api.routes import routes
from api.services import SERVICES, VIEW, Services, view_for

MAX_REQUEST_BYTES: Final = 65536
"""Largest request body: the longest content sent here is a token or a key's description."""

_PARAMETER: Final = re.compile(r"\{(\w+)\}")
"""Of a path; the router's own pattern would leave out ids with braces."""


async def _end_streams(app: web.Application) -> None:
    """End the streams with an event, so that the server need not wait for them."""
    app[SERVICES].streams.tail.close()


def make_app(services: Services) -> web.Application:
    """Build the admin application. The services stay the caller's: nothing is opened or closed
    here.
    """
    table = routes()
    app = web.Application(
        middlewares=[
            middleware.see_front,
            middleware.compress,
            middleware.answer_errors,
            middleware.check_host,
            middleware.require_token({(route.method, route.path): route for route in table}),
        ],
        client_max_size=MAX_REQUEST_BYTES,
    )
    app[SERVICES] = services
    app.on_response_prepare.append(middleware.add_security_headers)
    app.on_shutdown.append(_end_streams)

    for route in table:
        pattern = _PARAMETER.sub(r"{\1:[^/]+}", route.path)
        app.router.add_route(route.method, pattern, route.handler)
        if route.method == "GET":
            app.router.add_route("HEAD", pattern, route.handler)

    return app


def make_open_app(services: Services, *, has_metrics: bool) -> web.Application:
    """Build the application; any path but `/healthz`, `/readyz` and maybe `/metrics` is 404."""
    app = web.Application(
        middlewares=[middleware.compress, middleware.answer_errors, _as_anonymous(services)]
    )
    app.on_response_prepare.append(middleware.add_security_headers)
    app.router.add_get("/healthz", health.healthz)
    app.router.add_get("/readyz", health.readyz)
    if has_metrics:
        app.router.add_get("/metrics", health.metrics)
    return app


def _as_anonymous(services: Services) -> Middleware:
    """Make the middleware that gives handlers the view of a caller without a token."""

    @web.middleware
    async def show(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[VIEW] = view_for(services, ANONYMOUS)
        return await handler(request)

    return show
