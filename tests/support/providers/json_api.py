"""A small JSON API of the usual kind: lists, details, writes, and everything that goes wrong with
them.

No state: an answer is a function of its request. Errors are RFC 9457 problem details; streams are
server-sent events.
"""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

from tests.support.providers.streams import event_stream, pause

USERS: Final = 25
LARGE_BYTES: Final = 1 << 20
MAX_SLOW_S: Final = 10.0
MAX_EVENTS: Final = 1000

_NAMES: Final = (
    "Ada",
    "Grace",
    "Edsger",
    "Barbara",
    "Alan",
    "Radia",
    "Donald",
    "Margaret",
    "Ken",
    "Frances",
)
_TEAMS: Final = ("payments", "search", "platform", "mobile")


def user(number: int) -> dict[str, object]:
    """Return the user of a number; the same every time."""
    name = _NAMES[number % len(_NAMES)]
    return {
        "id": number,
        "name": f"{name} {number}",
        "email": f"{name.lower()}.{number}@example.com",
        "team": _TEAMS[number % len(_TEAMS)],
        "is_active": number % 7 != 0,
    }


def problem(status: int, detail: str, **more: object) -> web.Response:
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **more,
    }
    headers = {"Retry-After": "5"} if status in (429, 503) else None
    return web.json_response(
        body, status=status, headers=headers, content_type="application/problem+json"
    )


def whole_number(request: web.Request, name: str, default: int, most: int) -> int:
    """Read a query parameter as a number between 0 and `most`; the default for anything else."""
    text = request.query.get(name, "")
    if text.isascii() and text.isdigit() and len(text) < 10:
        return min(int(text), most)
    return default


async def list_users(request: web.Request) -> web.Response:
    """GET /api/users?offset=&limit=&team="""
    offset = whole_number(request, "offset", 0, USERS)
    limit = whole_number(request, "limit", 10, 100)
    team = request.query.get("team")
    found = [each for each in map(user, range(1, USERS + 1)) if team in (None, each["team"])]
    return web.json_response({"users": found[offset : offset + limit], "total": len(found)})


async def get_user(request: web.Request) -> web.Response:
    """GET /api/users/{id}; 404 beyond the last one."""
    text = request.match_info["id"]
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= USERS):
        return problem(404, f"there is no user {text}")
    return web.json_response(user(int(text)))


async def create_user(request: web.Request) -> web.Response:
    """POST /api/users; 400 for what is not JSON, 422 without name or address. The id follows from
    the address.
    """
    try:
        given = json.loads(await request.read())
    except ValueError:
        return problem(400, "the body is not JSON")

    missing = [
        key
        for key in ("name", "email")
        if not isinstance(given, dict) or not isinstance(given.get(key), str)
    ]
    if missing:
        return problem(
            422,
            "the user is not complete",
            errors=[{"field": key, "code": "missing"} for key in missing],
        )

    number = 1000 + zlib.crc32(given["email"].encode(errors="replace")) % 9000
    created = {"id": number, "name": given["name"], "email": given["email"], "is_active": True}
    return web.json_response(created, status=201, headers={"Location": f"/api/users/{number}"})


async def delete_user(request: web.Request) -> web.Response:
    """DELETE /api/users/{id}; nothing is deleted, the next demo needs it."""
    return web.Response(status=204)


async def log_in(request: web.Request) -> web.Response:
    """POST /api/login: secrets in body, answer and cookie, for sidelog to redact. None of them
    opens anything.
    """
    answer = {
        "access_token": "demo-access-token-0001",
        "refresh_token": "demo-refresh-token-0001",
        "expires_in": 3600,
    }
    response = web.json_response(answer)
    response.set_cookie("session", "demo-session-0001", httponly=True, samesite="Strict")
    return response


async def slow_report(request: web.Request) -> web.Response:
    """GET /api/reports/slow?ms=: answers after about two seconds."""
    delay_s = min(whole_number(request, "ms", 2000, 60_000) / 1000, MAX_SLOW_S)
    await asyncio.sleep(delay_s)
    return web.json_response({"report": "quarterly", "rows": 42, "took_ms": round(delay_s * 1000)})


async def fail(request: web.Request) -> web.Response:
    """GET /api/errors/{status}: that status, 400 to 599."""
    text = request.match_info["status"]
    try:
        status = HTTPStatus(int(text))
    except ValueError:
        status = HTTPStatus.NOT_FOUND

    if status < 400:
        return problem(404, f"{text} is not an error")

    return problem(status, f"this address always answers {status.value}")


async def large(request: web.Request) -> web.Response:
    """GET /api/large: one megabyte of JSON."""
    row = '{"sku":"A-%06d","stock":1%03d,"note":"kept in the long hall behind the second door"}'
    rows = ",".join(row % (number, number % 1000) for number in range(LARGE_BYTES // 90))
    text = f'{{"items":[{rows}],"padding":""}}'
    padding = "." * max(0, LARGE_BYTES - len(text))
    return web.Response(text=f'{text[:-2]}{padding}"}}', content_type="application/json")


async def compressed(request: web.Request) -> web.Response:
    """GET /api/compressed: a list of all users, always gzip'd."""
    body = json.dumps({"users": [user(number) for number in range(1, USERS + 1)]}).encode()
    return web.Response(
        body=gzip.compress(body, mtime=0),
        content_type="application/json",
        headers={"Content-Encoding": "gzip"},
    )


async def moved(request: web.Request) -> web.Response:
    """GET /api/old/users: moved for good."""
    return web.Response(status=301, headers={"Location": "/api/users"})


async def latest(request: web.Request) -> web.Response:
    """GET /api/users/latest: found elsewhere."""
    return web.Response(status=302, headers={"Location": f"/api/users/{USERS}"})


async def events(request: web.Request) -> web.StreamResponse:
    """GET /api/events?count=: a stream of prices; resumes behind Last-Event-ID."""
    last = request.headers.get("Last-Event-ID", "")
    first = int(last) + 1 if last.isascii() and last.isdigit() and len(last) < 10 else 1
    return await event_stream(
        request, prices(request, first, whole_number(request, "count", 10, MAX_EVENTS))
    )


async def prices(request: web.Request, first: int, count: int) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n: prices follow\n\n"
    for number in range(first, first + count):
        data = json.dumps({"symbol": "DEMO", "price": 100 + number % 17})
        yield f"id: {number}\nevent: price\ndata: {data}\n\n".encode()
        await pause(request)


async def orders(request: web.Request) -> web.WebSocketResponse:
    """GET /api/orders/live?shop=: a WebSocket that announces orders once asked to; that of shop
    `south` is lost.
    """
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    shop = request.query.get("shop", "north")

    asked = await socket.receive()
    for number in range(1, 9 if asked.type is WSMsgType.TEXT else 1):
        if shop == "south" and number == 4:
            await socket.close(code=WSCloseCode.INTERNAL_ERROR, message=b"the shop does not answer")
            break
        await socket.send_json({"order": 4000 + number, "shop": shop, "total_usd": 12.5 * number})
        await pause(request)

    await socket.close()
    return socket


def routes() -> list[web.RouteDef]:
    return [
        web.get("/api/users", list_users),
        web.post("/api/users", create_user),
        web.get("/api/users/latest", latest),
        web.get("/api/users/{id}", get_user),
        web.delete("/api/users/{id}", delete_user),
        web.post("/api/login", log_in),
        web.get("/api/reports/slow", slow_report),
        web.get("/api/errors/{status}", fail),
        web.get("/api/large", large),
        web.get("/api/compressed", compressed),
        web.get("/api/old/users", moved),
        web.get("/api/events", events),
        web.get("/api/orders/live", orders),
    ]
