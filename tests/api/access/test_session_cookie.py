"""The session's cookie among others: every port of a host name shares a browser's cookies."""

import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from api.access.sessions import Sessions
from api.app import make_app
from tests.api.conftest import TOKEN, Client, Start, World
from tests.support.certificate import self_signed

MARK = "0a1b2c3d4e5f"
NAME = f"sidelog_session_{MARK}"


async def cookie_of(client: Client) -> str:
    """Log in; give the pair that a browser sends back."""
    response = await client.post("/login", json={"token": TOKEN})
    client.session.cookie_jar.clear()
    ((name, cookie),) = response.cookies.items()
    return f"{name}={cookie.value}"


async def status_with(client: Client, cookies: str) -> int:
    return (await client.get("/api/records", headers={"Cookie": cookies})).status


@pytest.fixture
async def marked(world: World, start: Start) -> Client:
    """An admin port whose cookie has a mark."""
    return await start(replace(world.services(), sessions=Sessions(mark=MARK)))


async def test_two_instances_of_a_host_have_a_cookie_each(
    world: World, start: Start, marked: Client
) -> None:
    """Logging in at one ends no session of the other."""
    other = await start(replace(world.services(), sessions=Sessions(mark="665544332211")))
    cookies = f"{await cookie_of(marked)}; {await cookie_of(other)}"
    assert cookies.startswith(f"{NAME}=")
    assert (await status_with(marked, cookies), await status_with(other, cookies)) == (200, 200)


async def test_a_cookie_that_an_upstream_sets_changes_nothing(marked: Client) -> None:
    """It does not know the name: neither a session of its choice is taken, nor ours displaced."""
    mine = await cookie_of(marked)
    _, _, secret = mine.partition("=")
    assert await status_with(marked, f"sidelog_session=planted; {mine}") == 200
    assert (
        await status_with(
            marked, f"sidelog_session={secret}; sidelog_session_000000000000={secret}"
        )
        == 401
    )


async def test_logging_out_takes_the_cookie_back(marked: Client) -> None:
    mine = await cookie_of(marked)
    response = await marked.post("/logout", headers={"Cookie": mine})
    assert response.cookies[NAME]["max-age"] == "0"
    assert await status_with(marked, mine) == 401


@pytest.fixture
async def secure(world: World, tmp_path: Path) -> AsyncIterator[str]:
    """An admin port that speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*self_signed(tmp_path))
    runner = web.AppRunner(make_app(replace(world.services(), sessions=Sessions(mark=MARK))))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_over_tls_nobody_without_tls_can_set_it(secure: str) -> None:
    """The prefix makes browsers see to it: Secure, of this host alone, for all its paths."""
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{secure}/login", json={"token": TOKEN}, ssl=False) as response:
            ((name, cookie),) = response.cookies.items()
        assert name == f"__Host-{NAME}"
        assert (cookie["secure"], cookie["path"], cookie["domain"]) == (True, "/", "")
        for shown, status in ((name, 200), (NAME, 401)):
            headers = {"Cookie": f"{shown}={cookie.value}"}
            async with session.get(f"{secure}/api/records", headers=headers, ssl=False) as response:
                assert response.status == status
