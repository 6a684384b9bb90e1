"""Inspection of a server and its database, for `sidelog doctor`. It leaves nothing behind."""

# ruff: noqa: S608 -- all names are made here

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final
from uuid import uuid4

from storage.clickhouse.cluster import PLACES, place_of
from storage.clickhouse.engine.server import Server
from storage.clickhouse.engine.version import server_of
from storage.clickhouse.register.register import STORES_TWICE
from storage.clickhouse.tables import ALONE, LAYOUT, Place, read_layout
from storage.clickhouse.wire.address import Address
from storage.clickhouse.wire.link import Link
from storage.clickhouse.wire.native import Column
from storage.errors import StorageError

LIMIT_S: Final = 2.0
_SERVER: Final = "SELECT version(), toUnixTimestamp(now())"
_DATABASES: Final = "SELECT count() FROM system.databases WHERE name = $1"
_SYSTEM_TABLES: Final = ("processes", "parts", "mutations")
"""System tables that sidelog reads."""
_SETTINGS: Final = {"index_granularity": 8192}
_ANYWHERE: Final = {"database": "system"}


@dataclass(frozen=True, slots=True)
class Inspection:
    """The findings at one host."""

    server_version: str
    has_database: bool
    layout: int
    """Layout of sidelog's tables; 0 where it has never used the database."""
    newest_layout: int
    """The newest layout that this program knows."""
    refusal: str
    """Why this user may not do what sidelog has to; empty where it may."""
    clock_s: int
    """The server's clock, Unix seconds."""
    place: Place
    """Shard and replica of the server in the cluster of the address."""
    misplaced: str = ""
    """Why the server is not of that cluster; empty where it is, or without a cluster."""


async def inspect(address: Address, host: str) -> Inspection:
    """Connect to one host of an address and inspect it.

    Raises:
        StorageError: It cannot be reached, does not let us in, or is too old.
    """
    async with _linked(replace(address, hosts=(host,))) as link:
        [(version, clock_s)] = await link.fetch(_SERVER, limit_s=LIMIT_S, settings=_ANYWHERE)
        [(databases,)] = await link.fetch(
            _DATABASES, (address.database,), limit_s=LIMIT_S, settings=_ANYWHERE
        )
        server = server_of(version)
        layout = 0
        refusal = ""

        if databases:
            found = await read_layout(link)
            layout = found.number if found else 0
            refusal = await _refusal(link, server)

        place, misplaced = await _placed(link, host)
        return Inspection(
            version, bool(databases), layout, LAYOUT, refusal, int(clock_s), place, misplaced
        )


async def _placed(link: Link, host: str) -> tuple[Place, str]:
    if not (cluster := link.address.cluster):
        return ALONE, ""
    rows = await link.fetch(PLACES, (cluster,), limit_s=LIMIT_S, settings=_ANYWHERE)
    try:
        return place_of(host.partition("://")[2], cluster, rows), ""
    except StorageError as error:
        return ALONE, str(error)


async def _refusal(link: Link, server: Server) -> str:
    """Try the statements that sidelog needs on a table of its own; return why one is refused."""
    table = f"sidelog_doctor_{uuid4().hex}"
    try:
        settings = ", ".join(
            f"{name} = {value}" for name, value in (_SETTINGS | server.table_settings).items()
        )
        columns = f"(x UInt8) ENGINE = MergeTree ORDER BY x SETTINGS {settings}"
        await link.execute(f"CREATE TABLE {table} {columns}", limit_s=LIMIT_S)

        try:
            # Two inserts with one token are one insert, or commits would be stored twice.
            for x in (1, 2):
                await link.insert(
                    table, [Column("x", "UInt8", [x])], limit_s=LIMIT_S, settings=server.once(table)
                )
            found = await link.fetch(f"SELECT x FROM {table}", limit_s=LIMIT_S)
            if server.has_tokens and len(found) > 1:
                return STORES_TWICE

            await link.execute(f"ALTER TABLE {table} DELETE WHERE x = 0", limit_s=LIMIT_S)
            for name in _SYSTEM_TABLES:
                await link.fetch(f"SELECT count() FROM system.{name}", limit_s=LIMIT_S)
        finally:
            await link.execute(f"DROP TABLE {table}", limit_s=LIMIT_S)
    except StorageError as error:
        return str(error)

    return ""


@asynccontextmanager
async def _linked(address: Address) -> AsyncIterator[Link]:
    link = Link(address)
    try:
        yield link
    finally:
        await link.close()
