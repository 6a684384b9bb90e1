"""An inspection tells what is wrong, and leaves nothing behind."""

from dataclasses import replace

import pytest

from storage.clickhouse.engine.version import read_server
from storage.clickhouse.inspect import inspect
from storage.clickhouse.tables import make_tables
from storage.clickhouse.wire.address import Address
from storage.clickhouse.wire.link import Link
from storage.errors import StorageUnavailable
from tests.storage.clickhouse.conftest import DELAY_MS
from tests.support.clickhouse import Server, server


async def tables(link: Link) -> list[str]:
    """The tables of the database."""
    rows = await link.fetch(
        "SELECT name FROM system.tables WHERE database = currentDatabase()", limit_s=30
    )
    return sorted(name for (name,) in rows)


async def test_a_database_that_can_be_used(link: Link) -> None:
    """Its version, and whether it was used before; nothing in it is changed."""
    (host,) = link.address.hosts
    seen = await inspect(link.address, host)
    assert (seen.has_database, seen.layout, seen.refusal) == (True, 0, "")
    assert seen.server_version.split(".")[0].isdigit()
    assert await tables(link) == []
    await make_tables(link, await read_server(link), DELAY_MS)
    before = await tables(link)
    seen = await inspect(link.address, host)
    assert seen.layout == seen.newest_layout
    assert await tables(link) == before


async def test_a_database_that_is_not_there(engine: Server) -> None:
    """The server is, and says so."""
    address = engine.address("nowhere")
    seen = await inspect(address, address.hosts[0])
    assert (seen.has_database, seen.layout) == (False, 0)


@pytest.mark.clickhouse
async def test_who_is_not_let_in() -> None:
    """Only the old engine has users here."""
    address = replace(server("debian").address(), user="locked", password="guess")
    with pytest.raises(StorageUnavailable, match="does not let this user in"):
        await inspect(address, address.hosts[0])


@pytest.mark.clickhouse
async def test_who_may_only_read() -> None:
    """What the server says against writing is told."""
    debian = server("debian")
    address = replace(debian.address(debian.database()), user="guest")
    seen = await inspect(address, address.hosts[0])
    assert seen.has_database
    assert "readonly" in seen.refusal


async def test_nobody_answers() -> None:
    """One line names the place."""
    address = Address(("http://127.0.0.1:1",), "logs", "me", "hunter2")
    with pytest.raises(StorageUnavailable, match=r"127\.0\.0\.1:1") as raised:
        await inspect(address, address.hosts[0])
    assert "hunter2" not in str(raised.value)
    assert "\n" not in str(raised.value)
