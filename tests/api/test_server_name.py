"""The name a TLS client opened the connection to, against the one it asks for."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from api.access.hosts import remember_server_name, server_name_of
from api.app import make_app
from storage.query import Scope
from tests.api.conftest import BEARER, World
from tests.api.samples import make_record
from tests.support.certificate import self_signed


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    return self_signed(tmp_path)


@pytest.fixture
async def address(world: World, certificate: tuple[Path, Path]) -> AsyncIterator[str]:
    """An admin port that speaks TLS and has names with scopes."""
    world.host_scopes = {
        "a.logs.example": Scope(projects=("proj_a",)),
        "b.logs.example": Scope(projects=("proj_b",)),
    }
    await world.store(make_record(1), make_record(2, project="proj_b"), make_record(3))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    remember_server_name(context)
    runner = web.AppRunner(make_app(world.services()))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize(
    ("server_name", "host", "status", "total"),
    [
        ("a.logs.example", "a.logs.example", 200, 2),
        ("b.logs.example", "b.logs.example:8443", 200, 1),
        ("A.Logs.Example", "a.logs.example", 200, 2),
        (None, "localhost", 200, 3),
        ("a.logs.example", "b.logs.example", 421, None),
        ("a.logs.example", "localhost", 421, None),
        ("localhost", "a.logs.example", 421, None),
    ],
)
async def test_both_names_must_be_one(
    address: str, server_name: str | None, host: str, status: int, total: int | None
) -> None:
    """The scope is that of the name; SNI and Host that differ are 421."""
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE

    async with (
        aiohttp.ClientSession() as session,
        session.get(
            f"{address}/v1/requests",
            headers=BEARER | {"Host": host},
            ssl=trusting,
            server_hostname=server_name,
        ) as response,
    ):
        assert response.status == status, await response.text()
        if total is not None:
            assert (await response.json())["total"] == total


def test_without_tls_there_is_no_name() -> None:
    """Nothing is remembered of a plain connection."""
    remember_server_name(None)
    assert server_name_of(None) is None
