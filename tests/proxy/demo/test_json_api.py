"""The demo's JSON API: every endpoint, and that equal requests get equal answers."""

import gzip
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from proxy.demo.json_api import LARGE_BYTES, USERS
from proxy.demo.upstream import application

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client of the demo upstream, which does not pause between frames."""
    async with TestClient(TestServer(application(pace_s=0)), auto_decompress=False) as found:
        yield found


async def test_users_are_listed_in_pages_and_by_team(client: Client) -> None:
    """Offset and limit cut a page, team filters, nonsense means the default."""
    page = await (await client.get("/api/users?offset=20&limit=3")).json()
    assert [user["id"] for user in page["users"]] == [21, 22, 23]
    assert page["total"] == USERS
    team = await (await client.get("/api/users?team=search&limit=x")).json()
    assert {user["team"] for user in team["users"]} == {"search"}
    assert len((await (await client.get("/api/users?limit=%C2%B2")).json())["users"]) == 10


@pytest.mark.parametrize(("name", "status"), [("1", 200), ("25", 200), ("26", 404), ("0", 404), ("x", 404)])
async def test_a_user_exists_or_not(client: Client, name: str, status: int) -> None:
    """There are users 1 to 25, everything else is not found."""
    answer = await client.get(f"/api/users/{name}")
    assert answer.status == status
    body = await answer.json(content_type=None)
    assert body["id" if status == 200 else "status"] == (int(name) if status == 200 else 404)


async def test_creating_a_user_is_deterministic(client: Client) -> None:
    """The id follows from the address, and Location names it."""
    answers = [await client.post("/api/users", json={"name": "Ann", "email": "ann@example.com"}) for _ in range(2)]
    bodies = [await answer.read() for answer in answers]
    assert [answer.status for answer in answers] == [201, 201]
    assert bodies[0] == bodies[1]
    assert answers[0].headers["Location"] == f"/api/users/{json.loads(bodies[0])['id']}"


@pytest.mark.parametrize(
    ("body", "status"), [(b"{", 400), (b"\xff", 400), (b"[]", 422), (b"{}", 422), (b'{"name": 1, "email": "a"}', 422)]
)
async def test_a_wrong_user_is_refused_with_problem_details(client: Client, body: bytes, status: int) -> None:
    """What is no JSON gets 400, what is no complete user 422 with the fields."""
    answer = await client.post("/api/users", data=body)
    assert (answer.status, answer.content_type) == (status, "application/problem+json")
    assert ("errors" in await answer.json(content_type=None)) == (status == 422)


async def test_deleting_answers_nothing(client: Client) -> None:
    """204 has no body."""
    answer = await client.delete("/api/users/3")
    assert (answer.status, await answer.read()) == (204, b"")


async def test_a_login_answers_secrets_in_body_and_cookie(client: Client) -> None:
    """There is something to redact."""
    answer = await client.post("/api/login", json={"user": "a", "password": "b"})
    assert "access_token" in await answer.json()
    assert "HttpOnly" in answer.headers["Set-Cookie"]


async def test_the_slow_report_says_how_long_it_took(client: Client) -> None:
    """The delay can be chosen, zero included."""
    assert (await (await client.get("/api/reports/slow?ms=0")).json())["took_ms"] == 0


@pytest.mark.parametrize(("path", "status"), [("500", 500), ("503", 503), ("404", 404), ("422", 422), ("200", 404)])
async def test_errors_are_answered_as_asked(client: Client, path: str, status: int) -> None:
    """Only errors can be asked for; 503 says when to come back."""
    answer = await client.get(f"/api/errors/{path}")
    assert (answer.status, (await answer.json(content_type=None))["status"]) == (status, status)
    assert ("Retry-After" in answer.headers) == (status == 503)


async def test_the_large_answer_is_a_megabyte_of_json(client: Client) -> None:
    """Exactly so many bytes, and valid."""
    body = await (await client.get("/api/large")).read()
    assert len(body) == LARGE_BYTES
    assert len(json.loads(body)["items"]) > 10_000


async def test_the_compressed_answer_is_the_same_gzip_each_time(client: Client) -> None:
    """No time stamp is in it."""
    answers = [await client.get("/api/compressed") for _ in range(2)]
    bodies = [await answer.read() for answer in answers]
    assert answers[0].headers["Content-Encoding"] == "gzip"
    assert bodies[0] == bodies[1]
    assert len(json.loads(gzip.decompress(bodies[0]))["users"]) == USERS


@pytest.mark.parametrize(
    ("path", "status", "target"), [("/api/old/users", 301, "/api/users"), ("/api/users/latest", 302, "/api/users/25")]
)
async def test_redirects_lead_to_an_answer(client: Client, path: str, status: int, target: str) -> None:
    """Where they lead, there is something."""
    answer = await client.get(path, allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (status, target)
    assert (await client.get(target)).status == 200


async def test_events_are_numbered_and_resume(client: Client) -> None:
    """The stream begins behind Last-Event-ID and ends after the asked count."""
    answer = await client.get("/api/events?count=2", headers={"Last-Event-ID": "7"})
    assert answer.content_type == "text/event-stream"
    retry, *frames = (await answer.text()).removesuffix("\n\n").split("\n\n")
    assert retry == "retry: 2000\n: prices follow"
    assert [frame.split("\n")[:2] for frame in frames] == [["id: 8", "event: price"], ["id: 9", "event: price"]]
    assert all("price" in json.loads(frame.split("\n")[2].removeprefix("data: ")) for frame in frames)
