"""The applications: of the admin port, every route in one table, and of the open address beside it.

The open one has probes and, where it is for Prometheus, metrics: no token, nothing else. Whatever
name it is asked under is answered: nothing there is worth a rebinding, and scrapers use names of
their own.
"""

import re
from functools import lru_cache
from typing import Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from api import health, middleware
from api.access.principal import ANONYMOUS
from api.assets import PAGES, load_assets, serve_asset, serve_page, show_run
from api.compare.handler import compare_records
from api.dialects import client_requests, gateway, mcp_logs, proxy_logs, request_logs
from api.dialects.mcp import serve_mcp
from api.identity.handler import last_success
from api.middleware import Route
from api.native import aggregates, conversations, erase, keys, login, messages, records, run, views
from api.native.chat.chat import get_chat
from api.native.chat.transcript import get_transcript
from api.native.files import export
from api.native.groups import top, words
from api.openapi.document import describe
from api.replay.handler import describe_replay, send_record
from api.services import FRONT, SERVICES, VIEW, Services, services_of, view_for

MAX_REQUEST_BYTES: Final = 65536
"""Largest request body: the longest content sent here is a token or a key's description."""

_PARAMETER: Final = re.compile(r"\{(\w+)\}")
"""Of a path; the router's own pattern would leave out ids with braces."""


def routes() -> tuple[Route, ...]:
    """Return every route; a path that is not here is 404, another method 405."""
    return (
        *_dialects(),
        *_conversations(),
        Route("GET", "/api/facets", aggregates.facets),
        Route("GET", "/api/histogram", aggregates.histogram),
        Route("GET", "/api/heatmap", aggregates.heatmap),
        Route("GET", "/api/summary", aggregates.summary),
        Route("GET", "/api/endpoints", top.endpoints),
        Route("GET", "/api/top", top.top),
        Route("GET", "/api/words", words.list_words),
        Route("GET", "/api/export", export.export),
        Route("GET", "/api/records", records.list_records),
        Route("DELETE", "/api/records", erase.erase_records),
        Route("GET", "/api/records/stream", records.stream),
        Route("GET", "/api/records/{id}", records.get_record),
        Route("GET", "/api/records/{a}/compare/{b}", compare_records),
        Route("GET", "/api/records/{id}/last-success", last_success),
        Route("POST", "/api/records/{id}/send", send_record, for_readers=True),
        Route("GET", "/api/records/{id}/chat", get_chat),
        Route("GET", "/api/records/{id}/curl", records.get_curl),
        Route("GET", "/api/records/{id}/har", records.download_har),
        Route("GET", "/api/records/{id}/messages", messages.list_messages),
        Route("GET", "/api/records/{id}/request-body", records.download_request_body),
        Route("GET", "/api/records/{id}/response-body", records.download_response_body),
        Route("DELETE", "/api/scopes/containers/{id}", erase.destroy_container),
        Route("GET", "/api/views", views.list_views),
        Route("PUT", "/api/views", views.put_view, for_readers=True),
        Route("DELETE", "/api/views/{view}", views.delete_view, for_readers=True),
        Route("GET", "/api/replay", describe_replay),
        Route("GET", "/api/ledger", health.ledger, is_global=True),
        Route("GET", "/api/status", health.status, is_global=True),
        Route("GET", "/api/alerts", health.list_alerts, is_global=True),
        Route("POST", "/api/alerts/{alert}/test", health.test_alert),
        Route("PUT", "/api/alerts/{alert}/silence", health.silence_alert),
        Route("POST", "/logout", login.logout, for_readers=True),
        Route("GET", "/api/keys", keys.list_keys, for_readers=False),
        Route("POST", "/api/keys", keys.create_key),
        Route("PATCH", "/api/keys/{id}", keys.change_key),
        Route("DELETE", "/api/keys/{id}", keys.delete_key),
        Route("GET", "/openapi.json", openapi, is_open=True),
        Route("GET", "/healthz", health.healthz, is_open=True),
        Route("GET", "/readyz", health.readyz, is_open=True),
        Route("GET", "/metrics", health.metrics, is_open=True),
        Route("POST", "/login", login.login, is_open=True),
        *_pages(),
    )


def _conversations() -> tuple[Route, ...]:
    """Return the routes of conversations with language models."""
    return (
        Route("GET", "/api/conversations", conversations.list_conversations),
        Route("GET", "/api/conversations/{id}", conversations.get_conversation),
        Route("GET", "/api/conversations/{id}/run", run.get_run),
        Route("GET", "/api/conversations/{id}/transcript", get_transcript),
        Route("GET", "/api/conversations/{id}/file", run.download_run),
    )


def _dialects() -> tuple[Route, ...]:
    """Return the routes of log APIs that others have published."""
    return (
        Route("GET", "/v1/requests", gateway.list_requests),
        Route("GET", "/api/proxy-logs/_logs", proxy_logs.list_entries),
        Route("GET", "/api/proxy-logs/_logs/stats", proxy_logs.stats),
        Route("GET", "/api/proxy-logs/_logs/stream", proxy_logs.stream),
        Route("GET", "/api/request-logs", request_logs.list_requests),
        Route(
            "GET",
            "/api/clients/{clientId}/proxies/{proxyId}/requests",
            client_requests.list_requests,
        ),
        Route(
            "GET",
            "/api/clients/{clientId}/proxies/{proxyId}/requests/{requestId}",
            client_requests.get_request,
        ),
        Route("GET", "/api/mcp-logs", mcp_logs.list_calls),
        Route("GET", "/api/mcp-logs/stats", mcp_logs.stats),
        Route("GET", "/api/mcp-logs/filterdata", mcp_logs.filter_data),
        Route("GET", "/api/mcp-logs/{id}", mcp_logs.get_call),
        Route("POST", "/mcp", serve_mcp, for_readers=True),
    )


@lru_cache(maxsize=1)
def _pages() -> tuple[Route, ...]:
    """Return the routes of the UI: its pages, and the files that they need."""
    assets = load_assets()
    return (
        Route("GET", "/docs", serve_page(assets.shell("docs.html", "pages/docs.js")), is_open=True),
        Route(
            "GET", "/login", serve_page(assets.shell("login.html", "pages/login.js")), is_open=True
        ),
        *(
            Route(
                "GET", path, serve_page(assets.shell("index.html", "app.js", module)), is_open=True
            )
            for path, module in PAGES.items()
        ),
        Route("GET", "/conversations/{id}", show_run, is_open=True),
        Route("GET", "/ui/{name}", serve_asset(assets), is_open=True),
        Route("GET", "/ui/{version}/{name}", serve_asset(assets), is_open=True),
        Route("GET", "/ui/{version}/{folder}/{name}", serve_asset(assets), is_open=True),
    )


async def openapi(request: web.Request) -> web.Response:
    """Return this description of the API, OpenAPI 3.1."""
    body = _description(services_of(request).version, request[FRONT].base_path)
    return web.Response(body=body, content_type="application/json")


@lru_cache(maxsize=4)
def _description(version: str, base_path: str) -> bytes:
    """Encode the OpenAPI description. It takes 5 ms, so the result is cached."""
    return msgspec.json.encode(describe(routes(), version, base_path))


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
