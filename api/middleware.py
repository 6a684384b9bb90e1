"""What every request passes: our names only, then the token; around both, errors in the words of the asked dialect."""

import logging
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from api import auth, hosts
from api.answers import json_answer
from api.dialects import gateway, proxy_logs
from api.errors import MAX_SHOWN_CHARACTERS, PROBLEM, Refused, Shape, phrase
from api.login import session_binding
from api.services import Services, services_of
from storage.errors import StorageUnavailable

SHAPES: Final = (("/v1/", gateway.SHAPE), ("/api/proxy-logs/", proxy_logs.SHAPE))
"""Path prefix → the dialect that words errors below it; the native API's shape elsewhere."""

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

_log = logging.getLogger(__name__)


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Put the security headers on an answer before it starts; answers that say nothing about caching are not cached."""
    response.headers.update(SECURITY_HEADERS)
    response.headers["Server"] = "sidelog"
    response.headers.setdefault("Cache-Control", "no-store")


def shape_of(path: str) -> Shape:
    """Choose the error shape of a path."""
    return next((shape for prefix, shape in SHAPES if path.startswith(prefix)), PROBLEM)


def answer_refusal(shape: Shape, refused: Refused) -> web.Response:
    """Word a refusal in a dialect; what a missing token is answered with differs between them."""
    if refused.status == 401 and shape.unauthorized_status != 401:
        refused = Refused(shape.unauthorized_status, shape.unauthorized_detail)
    return json_answer(shape.body(refused), status=refused.status, headers=refused.headers, media_type=shape.media_type)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into an answer in the shape of the dialect."""
    try:
        return await handler(request)
    except Refused as error:
        refused = error
    except web.HTTPException as error:
        if error.status < 400:
            raise
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        asked = f"{request.method} {request.path}"[:MAX_SHOWN_CHARACTERS]
        refused = Refused(error.status, f"{asked}: {phrase(error.status).lower()}", headers=allow)
    except StorageUnavailable as error:
        _log.warning("a read failed, the store is away: %s", error)
        refused = Refused(503, "the store cannot be reached", headers={"Retry-After": "5"})
    except Exception:
        _log.exception("bug: a handler failed", extra={"path": request.path})
        refused = Refused(500, "internal error, see the log of sidelog")
    return answer_refusal(shape_of(request.path), refused)


@web.middleware
async def check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests to a name that is not ours (421), wherever the answer would be worth something."""
    if request.path not in hosts.OPEN_PATHS:
        services = services_of(request)
        names = request.headers.getall("Host", ())
        if len(names) != 1 or not hosts.is_allowed_host(names[0], services.listen_host, services.allowed_hosts):
            shown = ", ".join(names)[:MAX_SHOWN_CHARACTERS]
            raise Refused(421, f"host {shown!r} is not a name of this server, see [admin] allowed_hosts")
    return await handler(request)


def require_token(open_paths: frozenset[str]) -> Middleware:
    """Make the middleware that asks for a token everywhere but on the open paths, given as route patterns."""

    @web.middleware
    async def check_token(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not auth.is_own_origin(request.method, request.headers):
            raise Refused(403, "this request was caused by another site")
        if not _is_open(request, open_paths):
            _authenticate(request, services_of(request))
        return await handler(request)

    return check_token


def _is_open(request: web.Request, open_paths: frozenset[str]) -> bool:
    resource = request.match_info.route.resource
    if resource is not None:
        return resource.canonical in open_paths
    # A path that is open, asked with a method it does not have: 405, not 401.
    error = request.match_info.http_exception
    return isinstance(error, web.HTTPMethodNotAllowed) and request.path in open_paths


def _authenticate(request: web.Request, services: Services) -> None:
    """Accept the admin token or an open session.

    Raises:
        Refused: 401 without either, 403 for a session's cookie on a request that another site caused.
    """
    if services.token is None:
        return
    presented = auth.read_credential(request.headers.get("Authorization"))
    if presented is not None and auth.is_token(presented, services.token):
        return
    cookie = request.cookies.get(auth.COOKIE)
    if presented is None and cookie is not None and services.sessions.is_open(cookie, session_binding(services)):
        if not auth.is_own_site(request.headers):
            raise Refused(403, "this request was caused by another site")
        return
    raise Refused(401, PROBLEM.unauthorized_detail, headers={"WWW-Authenticate": "Bearer"})
