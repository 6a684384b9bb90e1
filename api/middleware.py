"""The middleware of every request: it checks the host name, then the token, and reports errors in
the format of the requested dialect.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from yarl import URL

from api.access import auth, hosts
from api.access.front import front_of
from api.access.principal import ADMIN, ANONYMOUS, Principal, intersect
from api.assets import no_page
from api.dialects import client_requests, gateway, mcp_logs, proxy_logs
from api.http.compression import compress_response
from api.http.errors import MAX_SHOWN_CHARACTERS, PROBLEM, ErrorFormat, OutOfScope, Refused, phrase
from api.http.responses import json_response
from api.http.route import Route
from api.services import FRONT, SERVICES, VIEW, Services, view_for
from storage.errors import StorageOpening, StorageUnavailable

CHECK_EVERY_S: Final = 0.25
"""Time between two checks. A rotated token ends its requests within a second, including the time
until it is noticed (`AdminToken`).
"""


class OpenRequests:
    """The running requests of one server, live tails included. Each ends with its credential.

    A few times a second each request's caller is checked again; the connection of a refused one is
    cut.
    """

    __slots__ = ("_open", "_timer")

    def __init__(self) -> None:
        self._open: dict[int, tuple[web.Request, Callable[[], bool]]] = {}
        """Requests by identity: a request is a mapping and has no hash."""
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def watching(self, request: web.Request, may_go_on: Callable[[], bool]) -> Iterator[None]:
        """While the context lasts, close the request's connection soon after its caller loses
        access.
        """
        self._open[id(request)] = request, may_go_on
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CHECK_EVERY_S, self._look)
        try:
            yield
        finally:
            del self._open[id(request)]

    def _look(self) -> None:
        self._timer = None
        for request, may_go_on in self._open.values():
            if not may_go_on() and request.transport is not None:
                request.transport.abort()
        if self._open:
            self._timer = asyncio.get_running_loop().call_later(CHECK_EVERY_S, self._look)


ERROR_FORMATS: Final = (
    ("/v1/", gateway.ERRORS),
    ("/api/proxy-logs/", proxy_logs.ERRORS),
    ("/api/clients/", client_requests.ERRORS),
    ("/api/mcp-logs", mcp_logs.ERRORS),
)
"""Path prefix → the dialect that words errors below it; the native API's format elsewhere."""

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

_BEGUN: Final = web.RequestKey("begun", web.StreamResponse)
"""A response whose head has been sent."""
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER value with which closing resets the connection: in HTTP/1.0 a close ends a response."""

_log = logging.getLogger(__name__)


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Set the security headers of a response, and forbid caching unless the response allows it."""
    request[_BEGUN] = response
    response.headers.update(SECURITY_HEADERS)
    response.headers["Server"] = "sidelog"
    response.headers.setdefault("Cache-Control", "no-store")


def error_format_of(path: str) -> ErrorFormat:
    return next((format for prefix, format in ERROR_FORMATS if path.startswith(prefix)), PROBLEM)


def refusal_response(format: ErrorFormat, refused: Refused) -> web.Response:
    """Return a refusal in the format of a dialect; the status for a missing token depends on it."""
    if refused.status == 401 and format.unauthorized_status != 401:
        refused = Refused(format.unauthorized_status, format.unauthorized_detail)
    if format.hides_what_is_foreign and isinstance(refused, OutOfScope):
        refused = Refused(404, "not found")
    return json_response(
        format.body(refused),
        status=refused.status,
        headers=refused.headers,
        media_type=format.media_type,
    )


def unreadable_response(status: int, reason: str) -> web.Response:
    """Return the response to bytes that are not a request; no middleware sees it."""
    response = refusal_response(PROBLEM, Refused(status, reason[: 2 * MAX_SHOWN_CHARACTERS]))
    response.headers.update({**SECURITY_HEADERS, "Server": "sidelog", "Cache-Control": "no-store"})
    return response


def _failure(request: web.Request, error: Exception) -> Refused:
    """Return the refusal for a failed handler. Errors other than a client that left are logged as
    bugs.
    """
    if isinstance(error, ConnectionError) and (
        request.transport is None or request.transport.is_closing()
    ):
        _log.debug("the client left before its response was whole", extra={"path": request.path})
        return Refused(499, "the client left")  # never read, but aiohttp needs a response

    _log.error("bug: a handler failed", extra={"path": request.path}, exc_info=error)
    return Refused(500, "internal error, see the log of sidelog")


@web.middleware
async def see_front(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Store the properties of the proxy in front of sidelog, and handle an unknown path below its
    base path without this prefix.
    """
    if FRONT not in request:
        services = request.app[SERVICES]
        request[FRONT] = front = front_of(
            request.headers,
            hosts.authority_of(request.raw_path, request.headers.getall("Host", ())),
            is_trusted=services.is_trusted_proxy(request.remote or ""),
            is_secure=request.secure,
            base_path=services.base_path,
            sender=request.remote or "",
        )
        target = (
            None if request.match_info.http_exception is None else front.inner(request.raw_path)
        )
        if target:
            return await request.app._handle(request.clone(rel_url=URL(target, encoded=True)))

        if target is not None:  # relative addresses on a page there would miss the path
            query = request.raw_path.partition("?")[2]
            name = front.base_path.rpartition("/")[2]
            return web.Response(status=308, headers={"Location": f"{name}/{query and '?' + query}"})

    return await handler(request)


@web.middleware
async def compress(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Compress whole responses, errors included, for clients that ask for it."""
    response = await handler(request)
    await compress_response(request, response)
    return response


def _why_unknown(request: web.Request) -> str:
    """Explain an unknown path if the prefix of an untrusted proxy was ignored; else empty."""
    front = request.get(FRONT)
    if front is None or not front.has_ignored_prefix:
        return ""
    return (
        f"X-Forwarded-Prefix is ignored: its sender, {request.remote}, is not in [proxy] "
        "trusted_proxies"
    )


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn exceptions of a handler into responses in the format of the dialect, or pages for
    browsers.
    """
    is_unknown = isinstance(request.match_info.http_exception, web.HTTPNotFound)
    why = _why_unknown(request) if is_unknown else ""
    if is_unknown and "text/html" in request.headers.get("Accept", ""):
        return no_page(request.path, why)

    try:
        return await handler(request)
    except Refused as error:
        refused = error
    except web.RequestPayloadError:
        refused = Refused(400, "the body is not encoded as its Content-Encoding says")
    except web.HTTPException as error:
        if error.status < 400:
            raise
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        asked = f"{request.method} {request.path}"[:MAX_SHOWN_CHARACTERS]
        said = "; ".join(filter(None, (phrase(error.status).lower(), why)))
        refused = Refused(error.status, f"{asked}: {said}", headers=allow)
    except StorageOpening as error:
        refused = Refused(503, str(error), headers={"Retry-After": "1"})
    except StorageUnavailable as error:
        _log.warning("a read failed, the store is away: %s", error)
        # As /api/status has it.
        may_know = VIEW in request and request[VIEW].principal.is_unrestricted
        detail = str(error) if may_know else "the store cannot be reached"
        refused = Refused(503, detail, headers={"Retry-After": "5"})
    except Exception as error:
        refused = _failure(request, error)

    begun = request.get(_BEGUN)
    if begun is None:
        return refusal_response(error_format_of(request.path), refused)

    return _cut(request, begun, refused)


def _cut(request: web.Request, begun: web.StreamResponse, refused: Refused) -> web.StreamResponse:
    """Break off a response whose head has been sent, so that the client notices the missing rest."""
    transport = request.transport
    if transport is not None and not transport.is_closing():
        _log.warning("a response was broken off: %s", refused.detail, extra={"path": request.path})
        if (raw_socket := transport.get_extra_info("socket")) is not None:
            raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()

    return begun


@web.middleware
async def check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests to a foreign host name (421), except for paths that reveal nothing."""
    if request.path not in hosts.OPEN_PATHS:
        services = request.app[SERVICES]
        authority = request[FRONT].authority
        shown = authority[:MAX_SHOWN_CHARACTERS]

        allowed = (*services.allowed_hosts, *services.host_scopes)
        if not hosts.is_allowed_host(authority, services.listen_host, allowed):
            raise Refused(
                421, f"host {shown!r} is not a name of this server, see [admin] allowed_hosts"
            )

        connection = (
            None if request.transport is None else request.transport.get_extra_info("ssl_object")
        )
        server_name = hosts.server_name_of(connection)
        if server_name is not None and server_name != hosts.host_name(authority):
            raise Refused(421, f"host {shown!r} is not the name the connection was opened to")

    return await handler(request)


def require_token(routes: Mapping[tuple[str, str], Route]) -> Middleware:
    """Return the middleware that authenticates the caller and limits the handler to its scope.

    `routes` maps method and pattern to routes; HEAD follows GET.
    """
    open_paths = frozenset(path for (_, path), route in routes.items() if route.is_open)
    open_requests = OpenRequests()

    @web.middleware
    async def check_token(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not auth.is_own_origin(request.method, request.headers, request[FRONT].host):
            raise Refused(403, _other_site(request))
        services = request.app[SERVICES]
        route = _route_of(request, routes)
        # A path that is open, asked with a method it does not have: 405, not 401.
        is_open = (
            isinstance(request.match_info.http_exception, web.HTTPMethodNotAllowed)
            and request.path in open_paths
        )
        # Clients of MCP look there for an authorization server before they have a token, and 401
        # sends them in circles.
        is_discovery = route is None and request.path.startswith("/.well-known/")
        if is_open or is_discovery or (route is not None and route.is_open):
            request[VIEW] = view_for(services, ANONYMOUS)
            return await handler(request)

        caller = _authenticate(request, services)
        request[VIEW] = view_for(services, _authorized(caller.principal, request, services, route))
        with open_requests.watching(request, caller.may_go_on):
            return await handler(request)

    return check_token


def _route_of(request: web.Request, routes: Mapping[tuple[str, str], Route]) -> Route | None:
    """Return the route of a request; None for an unknown path or method."""
    resource = request.match_info.route.resource
    method = "GET" if request.method == "HEAD" else request.method
    if resource is None:
        return None
    return routes[method, resource.canonical]


@dataclass(frozen=True, slots=True)
class _Caller:
    """The caller of a request."""

    principal: Principal
    may_go_on: Callable[[], bool]
    """Returns True while its credentials are valid."""


def _authorized(
    principal: Principal, request: web.Request, services: Services, route: Route | None
) -> Principal:
    """Return the caller's rights that apply to this request.

    Raises:
        Refused: 403.
    """
    host_scope = services.host_scopes.get(hosts.host_name(request[FRONT].authority))
    if host_scope is not None:
        principal = replace(principal, scope=intersect(principal.scope, host_scope))
    if (
        route is not None
        and route.needs_admin
        and (principal.role != "admin" or not principal.is_unrestricted)
    ):
        raise Refused(403, "this needs an admin token")
    if route is not None and route.is_global and not principal.is_unrestricted:
        raise OutOfScope

    return principal


def _authenticate(request: web.Request, services: Services) -> _Caller:
    """Return the caller of a session or token. The session's cookie wins, as a proxy may add a
    header.

    Raises:
        Refused: 401 without either, 403 for a session's cookie on a request that another site caused.
    """
    credentials = services.credentials
    sessions = services.sessions
    if credentials.are_off:
        return _Caller(ADMIN, lambda: True)

    cookie = request.cookies.get(auth.cookie_name(sessions.mark, request[FRONT]), "")
    session = next(
        (each for each in credentials.all() if cookie and sessions.is_open(cookie, each.digest)),
        None,
    )
    if session is not None and auth.is_own_site(request.headers):
        return _Caller(
            session.principal, partial(_is_session_open, services, cookie, session.digest)
        )

    presented = auth.read_credential(request.headers.get("Authorization"))
    found = None if presented is None else credentials.find(presented)
    if found is not None:
        return _Caller(found.principal, partial(credentials.has, found.digest))
    if session is not None:
        raise Refused(403, _other_site(request))

    services.refusals.count("token" if presented else "missing", request[FRONT].client)
    raise Refused(401, PROBLEM.unauthorized_detail, headers={"WWW-Authenticate": "Bearer"})


def _other_site(request: web.Request) -> str:
    origin = request.headers.get("Origin", "")
    host = request[FRONT].host
    shown = (
        f": its Origin is {origin!r}, ours {host!r}"[: 2 * MAX_SHOWN_CHARACTERS] if origin else ""
    )
    return f"this request was caused by another site{shown}"


def _is_session_open(services: Services, cookie: str, digest: bytes) -> bool:
    return services.credentials.has(digest) and services.sessions.has(cookie, digest)
