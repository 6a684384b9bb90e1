"""The session for shared reads in Postgres: slices of `seq`, with the partitions that may contain
them.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import ClassVar, Final, TypeVar

from storage.postgres import index_keys
from storage.postgres.connection import Budget, Connection
from storage.postgres.dictionary import digest, find
from storage.postgres.histograms import bucket_of, unpack_histogram
from storage.postgres.partitions import EVERY_ID, id_bounds, of_whole_days
from storage.postgres.text import like
from storage.query import Filter
from storage.relational.by_id import ID_BYTES, id_ms
from storage.relational.facet_counts import KnownCounts
from storage.relational.search.condition import asked_fields
from storage.relational.search.rows import Bound, Found
from storage.relational.slices import Range, Spread
from storage.relational.sql import Dialect, Parameters, Rows, Texts, Where, is_connection
from storage.relational.table_session import TableSession
from storage.relational.writes.packing import COLUMNS, PLACES
from storage.relational.writes.remembered import Names

T = TypeVar("T")

_SENT: Final = {"text": "varchar", "numeric": "varchar"}
"""Types that are sent as others: the driver has its own form for `text[]`, and a larger one for
numbers than their digits.
"""


def given(types: Mapping[str, str]) -> str:
    """Return the query that turns parameters, one array for each column, into rows."""
    columns = ", ".join(types)
    arrays = ", ".join(
        f"${place}::{_SENT.get(name, name)}[]" for place, name in enumerate(types.values(), 1)
    )
    values = ", ".join(f"{column}::{name}" for column, name in types.items())
    return f"SELECT {values} FROM unnest({arrays}) AS given ({columns})"


DIALECT: Final = Dialect(
    placeholder=lambda number: f"${number}",
    given=given,
    trace_id="(hashtextextended(trace_id, 0) = hashtextextended({0}, 0) AND trace_id = {0})",
    # Compare the key of the index on `seq` first (storage/postgres/index_keys.py).
    tool="(seq >> 10 IN (SELECT record_seq >> 10 FROM sidelog.tool_calls WHERE tool_name IN ({0})) "
    "AND seq IN (SELECT record_seq FROM sidelog.tool_calls WHERE tool_name IN ({0})))",
    combination=lambda column, kind, marks: (
        f"{column} IN (SELECT id FROM sidelog.dictionary WHERE kind = {kind} "
        f"AND ({' OR '.join(f'strpos(value, {mark}) > 0' for mark in marks)}))"
    ),
    like=like,
    in_network=lambda first, last, length: (
        f"(length(client_ip) = {length} AND client_ip BETWEEN {first}::bytea AND {last}::bytea)"
    ),
    text_columns={"request_id": "CASE request_id WHEN chr(1) THEN id::text ELSE request_id END"},
    sum="(coalesce({}, 0)::numeric + coalesce({}, 0))",
    bucket=bucket_of,
    is_connection=is_connection(
        f"(SELECT id FROM sidelog.dictionary WHERE digest = '{digest('method', 'CONNECT').hex()}')"
    ),
    histograms="sum({})::text",
    to_counts=unpack_histogram,
    among="{} = ANY({}::bigint[])",
    # Use the primary key, since the index on `seq` has one entry for a thousand rows. Use a
    # subquery, since the planner would compare each number of a list with the bounds of all
    # partitions.
    row_key="id",
    of_keys="id = ANY(ARRAY(SELECT unnest({}::uuid[])))",
    tool_text="strpos(search, {}) > 0",
    tool_request="(hashtextextended(llm_request_id, 0) = hashtextextended({0}, 0) AND llm_request_id = {0})",
    schema="sidelog.",
    number="{}::bigint",
    record_columns=", ".join(COLUMNS),
    by_seq=index_keys.by_seq,
    has_grouping_sets=True,
    row_lock=" FOR UPDATE",
    skip_locked=" FOR UPDATE SKIP LOCKED",
    state=(
        "SELECT last_seq, purge_floor_us, body_floor_us, purged_through_seq, capped_dimensions, "
        "key_version, erasures, bodies_through_seq, trims, trimmed_until_us, until_hour "
        "FROM sidelog.counter, sidelog.state, sidelog.folded"
    ),
    erasures="SELECT erasures FROM sidelog.state FOR UPDATE",
    change_state=lambda name, then: f"UPDATE sidelog.state SET {name} = {then.format(name)}",
    seq_between=index_keys.seq_between,
    limited=lambda column, query: f"{column} = ANY(ARRAY({query}))",
    clock_us="(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
)
_IDS: Final = (
    "SELECT min(min_id_ms), max(max_id_ms) FROM sidelog.spans "
    "WHERE first_seq <= $2 AND first_seq >= "
    "coalesce((SELECT max(first_seq) FROM sidelog.spans WHERE first_seq <= $1), $1)"
)
_PLACES: Final = (
    f"SELECT seq, {', '.join(PLACES)}, started_at_us "
    f"FROM sidelog.records WHERE {index_keys.SEQ_AMONG} "
    "AND id BETWEEN $2 AND $3 AND started_at_us >= $4"
)

Ids = tuple[bytes, bytes]
"""The least and the largest id."""


async def id_range(connection: Connection, part: Range) -> Ids:
    """Return bounds, both inclusive, of the ids in a range of rows, so that other partitions are
    skipped.
    """
    [(first_ms, last_ms)] = await connection.fetch(_IDS, part.first, part.last)
    if first_ms is None:
        return EVERY_ID
    return id_bounds(first_ms, last_ms)


def bounds(first_parameter: int) -> str:
    """Return the condition on the rows of a slice; its parameters are the first and last `seq`, and
    the first and last id.
    """
    first, last, least_id, most_id = (f"${first_parameter + place}" for place in range(4))
    return f"{index_keys.seq_between(first, last)} AND id BETWEEN {least_id} AND {most_id}"


class PostgresStatements:
    """`storage.relational.rollup_tables.Statements` over a connection, inside a transaction."""

    dialect: ClassVar[Dialect] = DIALECT

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def fetch(self, sql: str, parameters: Parameters = ()) -> Rows:
        return await self.connection.fetch(sql, *parameters)

    async def write_rows(self, sql: str, rows: Sequence[Parameters]) -> None:
        if rows:
            await self.connection.execute(sql, *map(list, zip(*rows, strict=True)))

    async def ids_of(self, texts: Texts) -> dict[str, dict[str, int]]:
        return await find(self.connection, texts)


class PostgresSession(PostgresStatements, TableSession[Budget]):
    """`storage.relational.session.Session` over a connection, inside a transaction."""

    def __init__(
        self, connection: Connection, names: Names, known_counts: KnownCounts, budget: Budget
    ) -> None:
        PostgresStatements.__init__(self, connection)
        TableSession.__init__(self, names, known_counts, budget)

    async def fetch(self, sql: str, parameters: Parameters = ()) -> Rows:
        return await self.budget.fetch_whole(self.connection, sql, tuple(parameters))

    async def fetch_in_budget(
        self, sql: str, parameters: Parameters, *, is_part: bool = False
    ) -> Rows | None:
        return await self.budget.fetch(self.connection, sql, tuple(parameters), is_part=is_part)

    async def aside(self, work: Callable[[], T]) -> T:
        return await asyncio.to_thread(work)

    async def rows_by_seq(self, filter: Filter) -> Found | None:
        async def bind(part: Range) -> Bound:
            ids = await id_range(self.connection, part)
            return partial(_bounded, ids)

        return await Found.of(self, filter, bind, index_keys.by_seq)

    async def rows_by_id(self, filter: Filter, whole: Range) -> Found | None:
        has_bucket = _has_bucket(filter)

        async def bind(part: Range) -> Bound:
            first, last = (number.to_bytes(ID_BYTES, "big") for number in (part.first, part.last))
            ids = first, last

            def bound(where: Where, some: Range) -> Where:
                where = _bounded(ids, where, whole)
                if has_bucket:
                    return _in_buckets(where, ids)
                return where

            return bound

        return await Found.of(
            self, filter, bind, index_keys.by_id_bucket if has_bucket else index_keys.by_id
        )

    async def places(self, seqs: Sequence[int], purge_floor_us: int) -> Rows:
        ids = await id_range(self.connection, Range(seqs[0], seqs[-1]))
        return await self.fetch(_PLACES, (seqs, *ids, purge_floor_us))


def _bounded(ids: Ids, where: Where, part: Range) -> Where:
    number = 1 + len(where.parameters)
    if not isinstance(part, Spread):
        return Where(
            f"{where.text} AND {bounds(number)}", (*where.parameters, part.first, part.last, *ids)
        )

    marks = [f"${number + place}" for place in range(5)]
    text = (
        f"{where.text} AND {index_keys.seq_in_parts(*marks[:3])} AND id BETWEEN {marks[3]} AND "
        f"{marks[4]}"
    )
    firsts = [rows.first for rows in part.parts]
    lasts = [rows.last for rows in part.parts]
    return Where(
        text,
        (*where.parameters, index_keys.keys_of(part.parts), firsts, lasts, *of_whole_days(ids)),
    )


def _in_buckets(where: Where, ids: Ids) -> Where:
    number = 1 + len(where.parameters)
    buckets = (index_keys.id_bucket(id_ms(each)) for each in ids)
    text = f"{where.text} AND {index_keys.id_between(number, number + 2)}"
    return Where(text, (*where.parameters, *ids, *buckets))


def _has_bucket(filter: Filter) -> bool:
    """True if an index by buckets of ids has the rows: those of a project, or of a client's route."""
    asked = asked_fields(filter)
    return "project" in asked or {"route_id", "client"} <= asked
