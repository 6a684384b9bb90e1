"""Logging into the web UI: the token is exchanged once for a session cookie that scripts cannot
read.
"""

from typing import Annotated, Final
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from api.access.auth import cookie_name, cookie_path
from api.access.sessions import IDLE_S
from api.http.errors import Refused
from api.services import FRONT, services_of

MAX_LOGIN_BYTES: Final = 4096
"""Largest body of a login, which anyone may send."""


class Login(msgspec.Struct):
    """The token, to be exchanged for a session."""

    token: Annotated[str, msgspec.Meta(extra_json_schema={"pattern": r"\S"})]


async def login(request: web.Request) -> web.Response:
    """Open a session for the right token: 204 and the cookie.

    Raises:
        Refused: 400 for a body without a token, 401 for another token, 413 for a body too large.
    """
    services = services_of(request)
    declared = request.content_length or 0
    if declared > MAX_LOGIN_BYTES:
        raise Refused(413, f"a login has at most {MAX_LOGIN_BYTES} bytes, this one {declared}")
    limited = request.clone(client_max_size=MAX_LOGIN_BYTES)
    presented = read_token(_media_type(request), await limited.read())

    credential = services.credentials.find(presented)
    if credential is None:
        services.refusals.count("login", request[FRONT].client)
        raise Refused(
            401, "this is no token of this server", headers={"WWW-Authenticate": "Bearer"}
        )

    response = web.Response(status=204)
    front = request[FRONT]
    name = cookie_name(services.sessions.mark, front)
    response.set_cookie(
        name,
        services.sessions.open(credential.digest),
        max_age=IDLE_S,
        path=cookie_path(name),
        httponly=True,
        samesite="Strict",
        secure=front.is_secure,
    )
    return response


def _media_type(request: web.Request) -> str:
    """Read the type of the body; aiohttp would parse its parameters too: 8 KB of them take it 2.5
    s.
    """
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


async def logout(request: web.Request) -> web.Response:
    """End the cookie's session: 204, and the cookie is taken back."""
    services = services_of(request)
    front = request[FRONT]
    name = cookie_name(services.sessions.mark, front)
    for credential in services.credentials.all():
        services.sessions.close(request.cookies.get(name, ""), credential.digest)
    response = web.Response(status=204)
    response.del_cookie(
        name, path=cookie_path(name), httponly=True, samesite="Strict", secure=front.is_secure
    )
    return response


def read_token(content_type: str, body: bytes) -> str:
    """Return the token of a JSON or form body, or out of plain text.

    Raises:
        Refused: 400, there is none.
    """
    try:
        if content_type == "application/json":
            token = msgspec.json.decode(body, type=Login).token
        elif content_type == "application/x-www-form-urlencoded":
            token = parse_qs(body.decode()).get("token", [""])[0]
        else:
            token = body.decode()
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refused(
            400, "the body holds no token: expected JSON or a form with a member named token"
        ) from error

    if not token.strip():
        raise Refused(400, "the token is empty")
    return token.strip()
