"""What is open under a credential ends within a second of it, whoever it was and whatever it was
doing.
"""

import asyncio

import pytest
from aiohttp import ClientError, ClientResponse

from api.access.auth import COOKIE
from api.middleware import CHECK_EVERY_S
from api.stream.tail import Tail
from proxy.collector.admin_token import CHECK_EVERY_S as TOKEN_EVERY_S
from storage.query import Scope
from storage.record import Body, Payload
from tests.api.conftest import BEARER, TOKEN, Client, World
from tests.api.samples import make_batch, make_record

STREAMS = ("/api/records/stream", "/api/proxy-logs/_logs/stream")


@pytest.fixture
async def world(world: World) -> World:
    """A store with a tail."""
    world.tail = Tail(world.storage)
    world.heartbeat_s = 600.0
    return world


@pytest.fixture
def reader(world: World) -> dict[str, str]:
    """The headers of a reader beside the admin."""
    return world.admit("reader", Scope(projects=("p",)))


async def is_cut(response: ClientResponse) -> bool:
    """Wait for the end of a body; whether it came without the last chunk."""
    try:
        async for _ in response.content.iter_any():
            pass
    except (ClientError, ConnectionError):
        return True
    return False


@pytest.mark.parametrize("path", STREAMS)
async def test_a_tail_ends_with_its_token(
    world: World, client: Client, reader: dict[str, str], path: str
) -> None:
    """That of the rotated token is cut; that of another caller goes on."""
    async with (
        client.get(path, headers=BEARER) as old,
        client.get(path, headers=reader) as other,
    ):
        assert (old.status, other.status) == (200, 200)
        await other.content.readuntil(b"\n\n")
        world.token = "another"
        assert await is_cut(old)
        assert (await client.get(path, headers=BEARER)).status in (401, 403)
        record = make_record(1, project="p")
        batch = make_batch(record)
        assert world.tail is not None
        await world.storage.commit(batch)
        world.tail.on_commit(batch)
        assert b"data:" in await other.content.readuntil(b"\n\n")


async def test_a_revoked_reader_is_cut_too(
    world: World, client: Client, reader: dict[str, str]
) -> None:
    """Also while its client reads nothing."""
    async with client.get(STREAMS[0], headers=reader) as response:
        world.credentials.clear()
        assert await is_cut(response)


async def test_an_export_ends_with_its_token(world: World, client: Client) -> None:
    """It is visibly broken off, though its client had stopped reading."""
    large = Payload(
        b"GET / HTTP/1.1",
        b"HTTP/1.1 200 OK",
        None,
        Body(b"x" * 65536, b"", 65536, False, None, None),
    )
    await world.store(*((make_record(number), large) for number in range(400)))

    # Compressed, all of it would be under way at once.
    plain = {**BEARER, "Accept-Encoding": "identity"}
    async with client.get("/api/export?bodies=true", headers=plain) as response:
        assert await response.content.readany()
        world.token = "another"
        await asyncio.sleep(2 * CHECK_EVERY_S)  # a client that reads nothing sees no event
        assert await is_cut(response)


async def test_a_stream_ends_with_its_session(world: World, client: Client) -> None:
    """Logging out ends what the session has open, and nothing of another."""
    cookies = []
    for _ in range(2):
        login = await client.post("/login", json={"token": TOKEN})
        client.session.cookie_jar.clear()
        cookies.append({"Cookie": f"{COOKIE}={login.cookies[COOKIE].value}"})

    async with (
        client.get(STREAMS[0], headers=cookies[0]) as mine,
        client.get(STREAMS[0], headers=cookies[1]) as other,
    ):
        assert (mine.status, other.status) == (200, 200)
        assert (await client.post("/logout", headers=cookies[0])).status == 204
        assert await is_cut(mine)
        assert await other.content.readuntil(b"\n\n")


def test_a_second_is_kept() -> None:
    """A rotated token is read again, then the open requests are asked."""
    assert TOKEN_EVERY_S + CHECK_EVERY_S < 1
