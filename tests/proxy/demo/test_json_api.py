"""The demo's JSON API: every endpoint, and that equal requests get equal answers."""

import gzip
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from proxy.demo.json_api import LARGE_BYTES, USERS
from proxy.demo.upstream import application
from tests.support.cases import each_of

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client of the demo upstream, which does not pause between frames."""
    async with TestClient(TestServer(application(pace_s=0)), auto_decompress=False) as found:
        yield found


COMPLETE = json.dumps({"name": "Ann", "email": "ann@example.com"})
ANSWERS: list[tuple[str, str, str | None, int, str]] = [
    ("GET", "/api/users?offset=20&limit=3", None, 200, '{"users": [{"id": 21, '),
    ("GET", "/api/users?team=search&limit=x", None, 200, '"team": "search"'),
    ("GET", "/api/users?limit=%C2%B2", None, 200, '"id": 10,'),
    ("GET", "/api/users/25", None, 200, '{"id": 25, '),
    *[("GET", f"/api/users/{name}", None, 404, f"there is no user {name}") for name in ("26", "0", "x")],
    ("POST", "/api/users", COMPLETE, 201, '"name": "Ann"'),
    ("POST", "/api/users", "{", 400, "the body is not JSON"),
    *[("POST", "/api/users", body, 422, '"code": "missing"') for body in ("[]", "{}", '{"name": 1, "email": "a"}')],
    ("DELETE", "/api/users/3", None, 204, ""),
    ("POST", "/api/login", "{}", 200, '"access_token": '),
    ("GET", "/api/reports/slow?ms=0", None, 200, '"took_ms": 0'),
    *[("GET", f"/api/errors/{status}", None, status, f'"status": {status}') for status in (404, 422, 500, 503)],
    ("GET", "/api/errors/200", None, 404, "200 is not an error"),
    ("GET", "/api/large", None, 200, '"sku":"A-010000"'),
    ("GET", "/api/old/users", None, 301, ""),
    ("GET", "/api/users/latest", None, 302, ""),
]


@each_of(("method", "path", "body", "status", "part"), ANSWERS)
async def test_equal_requests_get_equal_answers(
    client: Client, method: str, path: str, body: str | None, status: int, part: str
) -> None:
    """With the status and what the path promises."""
    answers = [await client.request(method, path, data=body, allow_redirects=False) for _ in range(2)]
    first, second = [await answer.text() for answer in answers]
    assert (answers[0].status, first) == (status, second)
    assert part in first
    assert ("Retry-After" in answers[0].headers) == (status == 503)


async def test_what_bodies_do_not_show(client: Client) -> None:
    """A cookie to redact, a body in gzip, one of a megabyte, and where redirects lead."""
    assert "HttpOnly" in (await client.post("/api/login", json={})).headers["Set-Cookie"]
    compressed = await client.get("/api/compressed")
    assert len(json.loads(gzip.decompress(await compressed.read()))["users"]) == USERS
    assert len(await (await client.get("/api/large")).read()) == LARGE_BYTES
    for path, target in (("/api/old/users", "/api/users"), ("/api/users/latest", f"/api/users/{USERS}")):
        assert (await client.get(path, allow_redirects=False)).headers["Location"] == target


async def test_events_are_numbered_and_resume(client: Client) -> None:
    """The stream begins behind Last-Event-ID and ends after the asked count."""
    answer = await client.get("/api/events?count=2", headers={"Last-Event-ID": "7"})
    assert answer.content_type == "text/event-stream"
    retry, *frames = (await answer.text()).removesuffix("\n\n").split("\n\n")
    assert retry == "retry: 2000\n: prices follow"
    assert [frame.split("\n")[:2] for frame in frames] == [["id: 8", "event: price"], ["id: 9", "event: price"]]
    assert all("price" in json.loads(frame.split("\n")[2].removeprefix("data: ")) for frame in frames)
