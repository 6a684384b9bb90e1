"""Checks of databases: whether they can be reached and used."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from proxy.cli.commands.doctor.finding import Finding
from storage.errors import StorageError

if TYPE_CHECKING:
    from storage.clickhouse.inspect import Inspection as ClickHouseInspection
    from storage.clickhouse.tables import Place
    from storage.clickhouse.wire.address import Address
    from storage.postgres.inspect import Inspection as PostgresInspection

NAME: Final = "storage"
"""Name of the findings about a store."""
POSTGRES_ENCODING: Final = "UTF8"
MAX_SKEW_S: Final = 5.0
"""Largest tolerated difference between our clock and a database's."""
CLOCK_FIX: Final = "set the clock, and run chrony or systemd-timesyncd"


def check_postgres(url: str) -> Iterator[Finding]:
    """Check that the database of a `postgresql:` URL can be reached and used."""
    if find_spec("asyncpg") is None:
        yield Finding(
            "fail",
            NAME,
            "the Postgres driver is not installed",
            "pip install 'sidelog[postgres]'",
        )
        return

    from storage.postgres.connection import Address
    from storage.postgres.inspect import inspect

    address = Address.of(urlsplit(url))
    asked_s = time.time()

    try:
        seen = asyncio.run(inspect(address))
    except StorageError as error:
        fix = (
            "check that Postgres is running, that its address is right, and that pg_hba.conf "
            "admits this user"
        )
        yield Finding("fail", NAME, f"{address.location}: {error}", fix)
        return

    yield _judge_postgres(address.location, seen)
    yield from check_skew(address.location, seen.clock_s, asked_s, time.time())


def _judge_postgres(place: str, seen: "PostgresInspection") -> Finding:
    if seen.encoding != POSTGRES_ENCODING:
        fix = f"createdb --encoding={POSTGRES_ENCODING} --template=template0 NAME"
        return Finding("fail", NAME, f"{place} has the encoding {seen.encoding}", fix)
    if seen.is_read_only:
        fix = (
            "name the primary in its address, or ALTER DATABASE NAME RESET "
            "default_transaction_read_only"
        )
        return Finding(
            "fail", NAME, f"{place} is read-only: it is a replica, or set to read-only", fix
        )
    if seen.layout > seen.newest_layout:
        return newer(place, seen.layout, seen.newest_layout)
    if not seen.may_create:
        fix = "CREATE SCHEMA sidelog AUTHORIZATION the user of the address, or GRANT CREATE ON DATABASE"
        return Finding("fail", NAME, f"{place}: no permission to create the schema sidelog", fix)

    pooled = ", through a pooler" if seen.is_pooled else ""
    if seen.layout:
        layout = f"layout {seen.layout}"
    else:
        layout = "will be created at the first start"
    return Finding("ok", NAME, f"{place}: Postgres {seen.server_version}{pooled}, {layout}")


def check_clickhouse(url: str) -> Iterator[Finding]:
    """Check that every host of a `clickhouse:` URL can be reached, accepts the user, and allows
    writes; of a cluster, check that every replica is named.
    """
    from storage.clickhouse.wire.address import Address

    address = Address.of(urlsplit(url))
    places = list["Place"]()
    for host in address.hosts:
        yield from _check_clickhouse_host(address, host, places)
    if address.cluster and len(places) == len(address.hosts):
        yield _judge_cluster(address, places)


def _judge_cluster(address: "Address", places: Sequence["Place"]) -> Finding:
    named = Counter(place.shard for place in places)
    replicas = {place.shard: place.replicas for place in places}
    for shard in range(1, places[0].shards + 1):
        if not named[shard]:
            text = f"the address names no host of shard {shard} of the cluster {address.cluster}"
            return Finding("fail", NAME, text, "add a host of each shard to the address")
        if named[shard] < replicas[shard]:
            text = (
                f"the address names {named[shard]} of {replicas[shard]} replicas of shard {shard}"
            )
            fix = "add the others: a shard is unavailable if all its hosts in the address are"
            return Finding("warn", NAME, f"{text} of the cluster {address.cluster}", fix)

    return Finding(
        "ok", NAME, f"cluster {address.cluster}: {len(named)} shards, {len(places)} servers"
    )


def _check_clickhouse_host(
    address: "Address", host: str, places: "list[Place]"
) -> Iterator[Finding]:
    from storage.clickhouse.inspect import inspect

    place = f"{host.partition('://')[2]}/{address.database}"
    asked_s = time.time()

    try:
        seen = asyncio.run(inspect(address, host))
    except StorageError as error:
        fix = (
            "check that ClickHouse is running and that host, port, user and password in the "
            "address are right"
        )
        # If there are several hosts, the others are asked.
        yield Finding("fail" if len(address.hosts) == 1 else "warn", NAME, f"{place}: {error}", fix)
        return

    if not seen.misplaced:
        places.append(seen.place)
    yield _judge_clickhouse(place, address, seen)
    yield from check_skew(place, seen.clock_s, asked_s, time.time())


def _judge_clickhouse(place: str, address: "Address", seen: "ClickHouseInspection") -> Finding:
    if seen.misplaced:
        fix = (
            f"define {address.cluster} in remote_servers of each server, under a name and port by "
            "which it finds itself"
        )
        return Finding("fail", NAME, f"{place}: {seen.misplaced.removeprefix('clickhouse: ')}", fix)
    if not seen.has_database:
        fix = f"clickhouse-client --query 'CREATE DATABASE {address.database}'"
        return Finding(
            "fail", NAME, f"{place}: ClickHouse {seen.server_version} has no such database", fix
        )
    if seen.refusal:
        fix = "grant SELECT, INSERT, ALTER, CREATE and DROP on the database, and SELECT on system.*"
        return Finding(
            "fail", NAME, f"{place}: {address.user} may not write there: {seen.refusal}", fix
        )
    if seen.layout > seen.newest_layout:
        return newer(place, seen.layout, seen.newest_layout)

    if seen.layout:
        tables = f"layout {seen.layout}"
    else:
        tables = "tables will be created at the first start"
    return Finding("ok", NAME, f"{place}: ClickHouse {seen.server_version}, {tables}")


def newer(place: str, layout: int, newest: int) -> Finding:
    """Report a store that a newer version has written."""
    text = (
        f"{place} was written by a newer sidelog (layout {layout}, this one supports up to "
        f"{newest})"
    )
    return Finding("fail", NAME, text, "upgrade sidelog")


def check_skew(place: str, their_s: float, asked_s: float, answered_s: float) -> Iterator[Finding]:
    """Compare the clock of a database with ours; sidecars that share it should agree on the time.

    All times are Unix seconds: theirs, and ours before the question and after the answer.
    """
    skew_s = max(asked_s - their_s, their_s - answered_s, 0.0)
    if skew_s > MAX_SKEW_S:
        side = "behind" if their_s > answered_s else "ahead of"
        text = f"ours is {skew_s:.0f} s {side} that of {place}: records would get a wrong time"
        yield Finding("warn", "clock", text, CLOCK_FIX)
