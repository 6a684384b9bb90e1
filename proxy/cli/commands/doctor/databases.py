"""`sidelog doctor` on databases: can they be reached, and used."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from proxy.cli.commands.doctor.finding import Finding
from storage.errors import StorageError, StorageUnavailable

if TYPE_CHECKING:
    from storage.clickhouse.address import Address

POSTGRES_ENCODING: Final = "UTF8"


def check_postgres(name: str, url: str) -> Finding:
    """Connect to the database of a `postgresql:` URL and see whether it can be used."""
    from storage.postgres.connection import Address
    from storage.postgres.inspect import inspect

    address = Address.of(urlsplit(url))
    try:
        seen = asyncio.run(inspect(address))
    except StorageUnavailable as error:
        fix = "check that Postgres is running, that its address is right, and that pg_hba.conf admits this user"
        return Finding("fail", name, f"{address.location}: {error}", fix)
    if seen.encoding != POSTGRES_ENCODING:
        fix = f"createdb --encoding={POSTGRES_ENCODING} --template=template0 NAME"
        return Finding("fail", name, f"{address.location} has the encoding {seen.encoding}", fix)
    if seen.is_read_only:
        return Finding("fail", name, f"{address.location} is a replica", "name the primary in its address")
    if seen.layout > seen.newest_layout:
        return _newer(name, address.location, seen.layout, seen.newest_layout)
    if not seen.may_create:
        fix = "CREATE SCHEMA sidelog AUTHORIZATION our user, or GRANT CREATE ON DATABASE"
        return Finding("fail", name, f"{address.location}: no permission to create the schema sidelog", fix)
    pooled = ", through a pooler" if seen.is_pooled else ""
    layout = f"layout {seen.layout}" if seen.layout else "will be created at the first start"
    return Finding("ok", name, f"{address.location}: Postgres {seen.server_version}{pooled}, {layout}")


def check_clickhouse(name: str, url: str) -> Iterator[Finding]:
    """Ask every host of a `clickhouse:` URL whether it is there, lets us in, and lets us write."""
    from storage.clickhouse.address import Address

    address = Address.of(urlsplit(url))
    for host in address.hosts:
        yield _check_clickhouse_host(name, address, host)


def _check_clickhouse_host(name: str, address: "Address", host: str) -> Finding:
    from storage.clickhouse.inspect import inspect

    place = f"{host.partition('://')[2]}/{address.database}"
    try:
        seen = asyncio.run(inspect(address, host))
    except StorageError as error:
        fix = "check that ClickHouse is running and that host, port, user and password in the address are right"
        # With several hosts the others are asked.
        return Finding("fail" if len(address.hosts) == 1 else "warn", name, f"{place}: {error}", fix)
    if not seen.has_database:
        fix = f"clickhouse-client --query 'CREATE DATABASE {address.database}'"
        return Finding("fail", name, f"{place}: ClickHouse {seen.server_version} has no such database", fix)
    if seen.refusal:
        fix = "grant SELECT, INSERT, ALTER, CREATE and DROP on the database, and SELECT on system.processes"
        return Finding("fail", name, f"{place}: {address.user} may not write there: {seen.refusal}", fix)
    if seen.layout > seen.newest_layout:
        return _newer(name, place, seen.layout, seen.newest_layout)
    tables = f"layout {seen.layout}" if seen.layout else "tables will be created at the first start"
    return Finding("ok", name, f"{place}: ClickHouse {seen.server_version}, {tables}")


def _newer(name: str, place: str, layout: int, newest: int) -> Finding:
    text = f"{place} was written by a newer sidelog (layout {layout}, this one supports up to {newest})"
    return Finding("fail", name, text, "upgrade sidelog")
