"""The open address beside the admin port: probes and, where it is for Prometheus, metrics. No token, nothing else.

Whatever name it is asked under is answered: nothing here is worth a rebinding, and scrapers use names of their own.
"""

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from api import health, middleware
from api.access.principal import NOBODY
from api.services import VIEW, Services, view_for


def make_open_app(services: Services, *, has_metrics: bool) -> web.Application:
    """Build the application; any path but `/healthz`, `/readyz` and maybe `/metrics` is 404."""
    app = web.Application(middlewares=[middleware.compress, middleware.answer_errors, _as_nobody(services)])
    app.on_response_prepare.append(middleware.add_security_headers)
    app.router.add_get("/healthz", health.healthz)
    app.router.add_get("/readyz", health.readyz)
    if has_metrics:
        app.router.add_get("/metrics", health.metrics)
    return app


def _as_nobody(services: Services) -> Middleware:
    """Make the middleware that shows handlers what somebody without a token may see."""

    @web.middleware
    async def show(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[VIEW] = view_for(services, NOBODY)
        return await handler(request)

    return show
