"""Logging in and out over HTTP."""

import asyncio
import json
from dataclasses import replace

import pytest
from aiohttp.web import BaseRequest

from api.access.auth import token_digest
from api.access.principal import Credential, Credentials, Principal
from api.access.sessions import Sessions
from storage.query import Scope
from tests.api.conftest import BEARER, TOKEN, Client, Start, World


async def log_in(client: Client) -> str:
    """Log in and give the cookie's header."""
    response = await client.post("/login", json={"token": TOKEN})
    assert response.status == 204
    client.session.cookie_jar.clear()
    return f"sidelog_session={response.cookies['sidelog_session'].value}"


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (json.dumps({"token": TOKEN}), "application/json", 204),
        (f"token={TOKEN}", "application/x-www-form-urlencoded", 204),
        (TOKEN + "\n", "text/plain", 204),
        (json.dumps({"token": "wrong"}), "application/json", 401),
        (json.dumps({"token": 5}), "application/json", 400),
        ("{", "application/json", 400),
        ('{"more":' + "[" * 4000, "application/json", 400),
        ("x" * 4097, "text/plain", 413),
        ("", "application/json", 400),
        ("", "text/plain", 400),
        ("other=1", "application/x-www-form-urlencoded", 400),
        (b"\xff\xfe", "text/plain", 400),
    ],
)
async def test_login_wants_the_token(
    client: Client, body: str | bytes, content_type: str, status: int
) -> None:
    """The right token opens a session, in each usual encoding; anything else does not."""
    response = await client.post("/login", data=body, headers={"Content-Type": content_type})
    assert response.status == status
    assert ("Set-Cookie" in response.headers) is (status == 204)


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 65000\r\n\r\n",
        "Content-Length: 65000\r\n\r\n" + 60_000 * "x",
        "Transfer-Encoding: chunked\r\n\r\n1001\r\n" + 4097 * "x" + "\r\n",
    ],
)
async def test_little_is_taken_of_who_is_not_known(client: Client, head: str) -> None:
    """A body that is too large is refused before its end; without a token nothing of one is read."""
    for path, status in (("/login", 413), ("/api/keys", 401), ("/mcp", 401)):
        reader, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{head}".encode())
        line = await reader.readline()
        writer.close()
        assert line.startswith(f"HTTP/1.1 {status} ".encode()), path


async def test_refusals_are_counted_by_kind(world: World, start: Start) -> None:
    """Without a token, with a wrong one, at the login; in every dialect."""
    services = world.services()
    client = await start(services)
    for path in ("/api/records", "/v1/requests", "/api/proxy-logs/_logs"):
        await client.get(path)
        for token in ("x", "Bearer x", f"Bearer {TOKEN}x"):
            await client.get(path, headers={"Authorization": token})
    await client.post("/login", data="x")
    await client.post("/login", data=TOKEN)
    assert services.refusals.counts == {"login": 1, "missing": 3, "token": 9}


@pytest.mark.parametrize(
    "content_type", ["Application/JSON ; charset=utf-8", "application/json;" + "*;" * 3900]
)
async def test_the_type_of_the_body_is_read_by_us(
    client: Client, monkeypatch: pytest.MonkeyPatch, content_type: str
) -> None:
    """aiohttp has the parameters read as those of a mail, which takes seconds where there are
    thousands.
    """

    def never(request: BaseRequest) -> str:
        raise AssertionError("the type is read by aiohttp")

    monkeypatch.setattr(BaseRequest, "content_type", property(never))
    body = json.dumps({"token": TOKEN}).encode()
    assert (
        await client.post("/login", data=body, headers={"Content-Type": content_type})
    ).status == 204


async def test_the_cookie_is_out_of_reach_of_scripts_and_sites(client: Client) -> None:
    """HttpOnly, SameSite=Strict, for the folder that the login is in, and never the token itself."""
    response = await client.post("/login", json={"token": TOKEN})
    cookie = response.cookies["sidelog_session"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "")
    assert TOKEN not in cookie.value
    assert len(cookie.value) >= 40


async def test_a_session_reads_until_logout(client: Client) -> None:
    """The cookie opens what the token opens; after logout it opens nothing."""
    headers = {"Cookie": await log_in(client)}
    assert (await client.get("/api/records", headers=headers)).status == 200
    assert (await client.get("/api/proxy-logs/_logs", headers=headers)).status == 200
    assert (await client.post("/logout", headers=headers)).status == 204
    assert (await client.get("/api/records", headers=headers)).status == 401
    assert (await client.post("/logout")).status == 401


@pytest.mark.parametrize(
    ("site", "status"),
    [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403), ("odd", 403)],
)
async def test_a_cookie_does_not_work_for_other_sites(
    client: Client, site: str, status: int
) -> None:
    """A request another site caused is refused with the cookie, but a token speaks for itself."""
    headers = {"Cookie": await log_in(client), "Sec-Fetch-Site": site}
    assert (await client.get("/api/records", headers=headers)).status == status
    assert (
        await client.get("/api/records", headers=BEARER | {"Sec-Fetch-Site": site})
    ).status == 200


async def test_writes_from_other_origins_are_refused(client: Client) -> None:
    """Origin is checked on every writing method, login included."""
    own = f"http://{client.host}:{client.port}"
    for origin, status in ((own, 204), ("http://evil.example", 403), ("null", 403)):
        response = await client.post("/login", json={"token": TOKEN}, headers={"Origin": origin})
        assert response.status == status


async def test_a_session_is_asked_before_a_header(world: World, start: Start) -> None:
    """An auth proxy adds its own Bearer to each request; without a session that counts the header
    decides.
    """
    reader = Credential(
        token_digest("reader-token"), Principal("reader", "reader", Scope(projects=("a",)))
    )
    client = await start(
        replace(world.services(), credentials=Credentials(lambda: TOKEN, (reader,)))
    )
    cookie = {"Cookie": await log_in(client)}
    client.session.cookie_jar.clear()
    foreign = {"Authorization": "Bearer eyJhbGciOi.eyJzdWIi.c2ln"}
    scoped = {"Authorization": "Bearer reader-token"}
    other_site = {"Sec-Fetch-Site": "cross-site"}

    ended = {"Cookie": "sidelog_session=ended"}
    for headers, status in (
        (cookie | foreign, 200),
        (cookie | scoped, 200),
        (cookie | foreign | other_site, 403),
        (cookie | scoped | other_site, 403),
        (cookie | BEARER | other_site, 200),
        (ended | foreign, 401),
        (ended | BEARER, 200),
        (ended | scoped, 403),
        (foreign, 401),
    ):
        assert (await client.get("/api/ledger", headers=headers)).status == status, headers


async def test_sessions_survive_a_restart_but_not_another_token(world: World, start: Start) -> None:
    """Hashes only are kept; rotating the token ends every session."""
    kept: list[dict[str, float]] = []
    first = await start(replace(world.services(), sessions=Sessions(None, kept.append)))
    headers = {"Cookie": await log_in(first)}
    assert headers["Cookie"].partition("=")[2] not in json.dumps(kept)
    assert TOKEN not in json.dumps(kept)
    second = await start(replace(world.services(), sessions=Sessions(kept[-1])))
    assert (await second.get("/api/records", headers=headers)).status == 200
    rotated = await start(
        replace(
            world.services(),
            credentials=Credentials(lambda: "another"),
            sessions=Sessions(kept[-1]),
        )
    )
    assert (await rotated.get("/api/records", headers=headers)).status == 401
