"""The two tables: rows of batches, and the register of small values that change.

Strategy: computed columns of a table hold its layout and how late an insert may be
(`order_delay_ms`). So both are created with the table, at once, whichever sidecar is first. Rows
are partitioned by the day of their number, so that a batch is one part and retention drops whole
days. In a cluster each server has a table of its own, replicated if its shard has several replicas,
and the servers of the first shard have one over the tables of all shards.
"""

# ruff: noqa: S608 -- identifiers come from here, every value is a parameter or a number

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from storage.clickhouse.codec import REPEATED
from storage.clickhouse.engine.server import Server
from storage.clickhouse.numbers import DAY
from storage.clickhouse.wire.address import Address
from storage.clickhouse.wire.link import Link
from storage.clickhouse.wire.literals import identifier, literal
from storage.clickhouse.writes.rows import ATTEMPT_TYPES, CALL, CALL_COLUMNS, JOB, TYPES, WAITING
from storage.errors import SchemaTooNew, SchemaTooOld, StorageUnavailable
from storage.relational.tools.rows import COLUMNS

LAYOUT: Final = 8
"""Earlier layouts had tables of commits, epochs and sums, or lacked redactions, messages or
weights.
"""
OWN_RECORDS: Final = "records_local"
"""Name of a server's own table in a cluster, where `records` covers all shards."""
REGISTER_TYPES: Final = {
    "name": "String",
    "version": "Int64",
    "value": "String",
    "attempt": "UInt64",
}
_COORDINATED: Final = "/clickhouse/sidelog"
"""Path in the coordinator of the state that replicas share."""
_MARKS: Final = 1024
"""Rows per granule of the index: a page reads few rows, and all their columns."""
_RISING: Final = frozenset({"seq", "started_at_us"})
_SETTINGS: Final = {
    "replicated_deduplication_window": 100_000,
    "replicated_deduplication_window_seconds": 604_800,
    "parts_to_delay_insert": 1000,
    "parts_to_throw_insert": 3000,
}
_NUMBER: Final = re.compile(r"\d+")
_LAYOUT: Final = (
    "SELECT name, default_expression FROM system.columns "
    "WHERE database = currentDatabase() AND table = 'records' "
    "AND name IN ('layout', 'order_delay_ms')"
)


class Layout(NamedTuple):
    """Layout number and delay of existing tables."""

    number: int
    order_delay_ms: int


class Place(NamedTuple):
    """Position of a server in a cluster."""

    shards: int = 1
    shard: int = 1
    replicas: int = 1
    """Number of replicas in its shard."""


ALONE: Final = Place()


async def make_tables(
    link: Link,
    server: Server,
    order_delay_ms: int,
    place: Place = ALONE,
    of_all: Link | None = None,
) -> Layout:
    """Create the missing tables of one server; return the layout of the tables.

    Args:
        link: To that server.
        server: Its abilities.
        order_delay_ms: How late an insert may be.
        place: Its place in the cluster.
        of_all: To the same server, with `records` of all shards.

    Raises:
        SchemaTooNew: A newer program created them.
    """
    found = await read_layout(link)
    if found is None:
        if place.shard == 1:
            await link.execute(_register(link.address, server, place))
        await link.execute(_records(link.address, server, place, order_delay_ms))
        statements = _VIEWS if of_all is None else (_records_of_all(link.address, server), *_VIEWS)
        for statement in statements if place.shard == 1 else ():
            await (of_all or link).execute(statement)
        found = await read_layout(link)

    if found is None:
        raise StorageUnavailable("clickhouse: the table of records was dropped while it was made")
    if found.number > LAYOUT:
        raise SchemaTooNew(found.number, LAYOUT)

    return found


async def check_tables(link: Link) -> Layout:
    """Return the layout of the tables without changing anything.

    Raises:
        SchemaTooNew: A newer program created them.
        SchemaTooOld: An older one did, or there are no tables.
    """
    found = await read_layout(link)
    if found is None or found.number < LAYOUT:
        raise SchemaTooOld(found.number if found else 0, LAYOUT)
    if found.number > LAYOUT:
        raise SchemaTooNew(found.number, LAYOUT)
    return found


async def read_layout(link: Link) -> Layout | None:
    """Return the layout of the tables; None without tables."""
    values = {name: int(_NUMBER.findall(text)[0]) for name, text in await link.fetch(_LAYOUT)}
    if values:
        return Layout(values["layout"], values["order_delay_ms"])
    return None


def _records(address: Address, server: Server, place: Place, order_delay_ms: int) -> str:
    columns = [
        *_columns(server),
        f"layout UInt16 ALIAS {LAYOUT}",
        f"order_delay_ms UInt32 ALIAS {order_delay_ms}",
    ]
    columns += [*server.indexes, server.refusing_late(order_delay_ms)]
    return _table(
        "records", columns, address, server, place, f"PARTITION BY intDiv(seq, {DAY}) ORDER BY seq",
        {"index_granularity": _MARKS},
    )  # fmt: skip


def _records_of_all(address: Address, server: Server) -> str:
    own = ", ".join(map(identifier, (address.cluster, address.database, OWN_RECORDS)))
    return (
        f"CREATE TABLE IF NOT EXISTS records ({', '.join(_columns(server))}) ENGINE = "
        f"Distributed({own})"
    )


def _columns(server: Server) -> list[str]:
    return [
        f"{name} {_stored_type(server, name, type)}"
        for name, type in (TYPES | ATTEMPT_TYPES).items()
    ]


def _stored_type(server: Server, name: str, type: str) -> str:
    if name in REPEATED or name == "writer":
        return server.repeated
    return f"{type}{server.codec(*(('Delta',) if name in _RISING else ()))}"


def _register(address: Address, server: Server, place: Place) -> str:
    columns = [f"{name} {type}" for name, type in REGISTER_TYPES.items()]
    return _table("register", columns, address, server, place, "ORDER BY (name, version)", {})


def _table(
    name: str, columns: list[str], address: Address, server: Server, place: Place, order: str,
    settings: Mapping[str, int],
) -> str:  # fmt: skip
    """Return the statement that creates a table whose inserts are stored once."""
    all_settings = _SETTINGS | server.table_settings | dict(settings)
    written = ", ".join(f"{key} = {value}" for key, value in all_settings.items())
    engine = f"MergeTree() {order}"
    if place.replicas > 1:
        path = f"{_COORDINATED}/{address.cluster}/{address.database}/{place.shard}/{name}"
        engine = f"ReplicatedMergeTree({literal(path)}, '{{replica}}') {order}"
    return (
        f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(columns)}) ENGINE = {engine} SETTINGS "
        f"{written}"
    )


_CALL_VALUES: Final = {
    "status": "ifNull(records.status, 0)",
    "cost_usd": "ifNull(records.cost_usd, 0)",
}
_CALLS: Final = ", ".join(
    (
        "seq AS record_seq",
        *(
            f"{_CALL_VALUES.get(name, CALL_COLUMNS.get(name, name))} AS {name}"
            for name in COLUMNS[1:]
        ),
    )
)
_WAITING: Final = (
    "if(startsWith(instance, '\\x00'), substring(instance, 2), instance) AS instance, id AS "
    "record_id, "
    "request_bytes AS position, started_at_us, request_body AS data"
)
_ENDED: Final = (
    f"SELECT id, request_bytes FROM records WHERE kind = {CALL} "
    f"AND id GLOBAL IN (SELECT id FROM records WHERE kind = {WAITING})"
)
_JOBS: Final = (
    "SELECT min(seq) AS first_seq, id, argMin(conversation, started_at_us) AS begun_by, "
    "min(started_at_us) AS begun_us, argMin(data, seq) AS counted_by "
    f"FROM records WHERE kind = {JOB} GROUP BY id"
)


def _view(name: str, columns: str, rows: str) -> str:
    """Return the statement that creates a view. Its rows have the kind of a record, so that
    conditions on visible records apply to them.
    """
    return f"CREATE VIEW IF NOT EXISTS {name} AS SELECT {columns}, 0 AS kind FROM ({rows})"


_VIEWS: Final = (
    _view("tool_calls", "*", f"SELECT seq, place, {_CALLS} FROM records WHERE kind = {CALL}"),
    _view(
        "waiting_calls", "seq, instance, started_at_us, data",
        f"SELECT seq, {_WAITING} FROM records WHERE kind = {WAITING} "
        f"AND (id, request_bytes) GLOBAL NOT IN ({_ENDED})",
    ),
    _view("jobs", "first_seq AS seq, id, begun_by, begun_us AS started_at_us, counted_by", _JOBS),
    "CREATE VIEW IF NOT EXISTS spans AS SELECT started_at_us AS min_started_at_us, started_at_us "
    f"AS max_started_at_us FROM records WHERE kind < {CALL}",
)  # fmt: skip
"""Views of the rows of other kinds: pending calls without those that have ended, and jobs with
their facts merged. Each record is a span of its own.
"""
