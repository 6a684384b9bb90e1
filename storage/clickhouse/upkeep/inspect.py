"""Inspection of servers and a database that leaves nothing behind, for `sidelog doctor`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final
from uuid import uuid4

from storage.clickhouse.address import Address
from storage.clickhouse.layout import newest, read_layout
from storage.clickhouse.link import Link
from storage.errors import StorageError

LIMIT_S: Final = 2.0
_WHO: Final = "SELECT version(), toUnixTimestamp(now())"
_DATABASES: Final = "SELECT count() FROM system.databases WHERE name = $1"
_RUNNING: Final = "SELECT count() FROM system.processes"
"""Who begins to write looks at the statements that run."""
_ANYWHERE: Final = {"database": "system"}


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found at one host."""

    server_version: str
    has_database: bool
    layout: int
    """Number of the layout of our tables; 0 where no sidelog has used the database."""
    newest_layout: int
    """The newest this program knows."""
    refusal: str
    """What this user may not do there, though sidelog has to; empty: nothing."""
    clock_s: int
    """Its time, in whole Unix seconds."""


async def inspect(address: Address, host: str) -> Inspection:
    """Connect to one host of an address and inspect.

    Raises:
        StorageError: It cannot be reached, or does not let us in.
    """
    async with _linked(replace(address, hosts=(host,))) as link:
        [(version, clock_s)] = await link.fetch(_WHO, limit_s=LIMIT_S, settings=_ANYWHERE)
        [(databases,)] = await link.fetch(_DATABASES, (address.database,), limit_s=LIMIT_S, settings=_ANYWHERE)
        if not databases:
            layout, refusal = 0, ""
        else:
            layout, refusal = await read_layout(link), await _refusal(link)
        return Inspection(version, bool(databases), layout, newest(), refusal, int(clock_s))


async def _refusal(link: Link) -> str:
    """Do what sidelog does with tables, and undo it; return what the server says against it."""
    table = f"sidelog_doctor_{uuid4().hex}"
    try:
        await link.execute(f"CREATE TABLE {table} (x UInt8) ENGINE = MergeTree ORDER BY x", limit_s=LIMIT_S)
        try:
            await link.execute(f"INSERT INTO {table} SELECT 1", limit_s=LIMIT_S)
            await link.execute(f"ALTER TABLE {table} DELETE WHERE x = 0", limit_s=LIMIT_S)
            await link.fetch(_RUNNING, limit_s=LIMIT_S)
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
