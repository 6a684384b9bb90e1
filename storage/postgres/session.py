"""The session that shared reads run over, in Postgres: slices of `seq` with the partitions that can
have them.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any, Final, Self, TypeVar
from uuid import UUID

from storage.postgres import index_keys
from storage.postgres.codec import decode_rows
from storage.postgres.connection import Budget, Connection
from storage.postgres.dictionary import find
from storage.postgres.histograms import bucket_of, unpack_histogram
from storage.postgres.partitions import EVERY_ID, id_bounds, of_whole_days
from storage.postgres.text import escape, like, unescape
from storage.query import Filter
from storage.record import Record
from storage.relational.blocks.payloads import RecentBlocks
from storage.relational.blocks.read import unpacked
from storage.relational.by_id import id_ms
from storage.relational.facet_counts import KnownCounts
from storage.relational.reads.text_index.narrow import can_have as words_can_have
from storage.relational.search.condition import asked_fields
from storage.relational.search.known_rows import KnownRows
from storage.relational.search.rows import Bound, Found
from storage.relational.session import State, spanned, spanned_ids
from storage.relational.slices import Range, Spread
from storage.relational.sql import Dialect, Parameters, Rows, Texts, Where
from storage.relational.writes.packing import COLUMNS, PLACES
from storage.relational.writes.remembered import Names

T = TypeVar("T")

DIALECT: Final = Dialect(
    placeholder=lambda number: f"${number}",
    trace_id="(hashtextextended(trace_id, 0) = hashtextextended({0}, 0) AND trace_id = {0})",
    # First by the key of the index on `seq` (storage/postgres/index_keys.py).
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
    histograms="sum({})::text",
    to_counts=unpack_histogram,
    among="{} = ANY({}::bigint[])",
    # By the primary key: the index on `seq` knows a thousand rows only as one. Through a query: a
    # list that the planner sees is compared with the bounds of the partitions, number by number.
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
    erasures="SELECT erasures FROM sidelog.state FOR UPDATE",
    change_state=lambda name, then: f"UPDATE sidelog.state SET {name} = {then.format(name)}",
    seq_between=index_keys.seq_between,
    limited=lambda column, query: f"{column} = ANY(ARRAY({query}))",
    clock_us="(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
    from_id=lambda record_id: UUID(bytes=record_id),
    to_id=lambda value: bytes(value.bytes),
    unescape=unescape,
)
_STATE: Final = (
    "SELECT last_seq, purge_floor_us, body_floor_us, purged_through_seq, capped_dimensions, "
    "key_version, erasures, "
    "bodies_through_seq, trims, trimmed_until_us, until_hour "
    "FROM sidelog.counter, sidelog.state, sidelog.folded"
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

Ids = tuple[UUID, UUID]
"""The least and the largest id."""


async def read_state(connection: Connection) -> State:
    [row] = await connection.fetch(_STATE)
    return State(*row)


async def id_range(connection: Connection, part: Range) -> Ids:
    """Find ids, both inclusive, between which all rows of a range are: other partitions need not be
    looked at.
    """
    [(first_ms, last_ms)] = await connection.fetch(_IDS, part.first, part.last)
    if first_ms is None:
        return EVERY_ID
    return id_bounds(first_ms, last_ms)


def bounds(first_parameter: int) -> str:
    """Write the condition on the rows of a slice: its first and last `seq`, its first and last id."""
    first, last, least_id, most_id = (f"${first_parameter + place}" for place in range(4))
    return f"{index_keys.seq_between(first, last)} AND id BETWEEN {least_id} AND {most_id}"


class PostgresStatements:
    """`storage.relational.rollup_tables.Statements` over a connection, inside a transaction."""

    dialect: Final = DIALECT

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def fetch(self, sql: str, parameters: Parameters = ()) -> Rows:
        return await self.connection.fetch(sql, *_escaped(parameters))

    async def write_rows(self, sql: str, rows: Sequence[Parameters]) -> None:
        if rows:
            await self.connection.execute(sql, *map(list, zip(*rows, strict=True)))

    async def ids_of(self, texts: Texts) -> dict[str, dict[str, int]]:
        return await find(self.connection, texts)


class PostgresSession(PostgresStatements):
    """`storage.relational.session.Session` over the same."""

    numbers_per_row = 1

    def __init__(
        self, connection: Connection, names: Names, known_counts: KnownCounts, budget: Budget
    ) -> None:
        super().__init__(connection)
        self.known_counts = known_counts
        self.budget = budget
        self._names = names
        self.known_rows = KnownRows()
        self.recent_blocks = RecentBlocks()
        self._state: State | None = None

    def limited(self, seconds: float) -> Self:
        limited = copy(self)
        limited.budget = self.budget.another(seconds)
        return limited

    async def state(self) -> State:
        if self._state is None:
            self._state = await read_state(self.connection)
        return self._state

    async def fetch(self, sql: str, parameters: Parameters = ()) -> Rows:
        return await self.budget.fetch_whole(self.connection, sql, _escaped(parameters))

    async def fetch_in_budget(
        self, sql: str, parameters: Parameters, *, is_part: bool = False
    ) -> Rows | None:
        return await self.budget.fetch(self.connection, sql, _escaped(parameters), is_part=is_part)

    async def aside(self, work: Callable[[], T]) -> T:
        return await asyncio.to_thread(work)

    async def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        await self.connection.executemany(sql, [_escaped(row) for row in rows])

    async def text_of(self, ids: Iterable[int | None]) -> Mapping[int | None, str | None]:
        return await self._names.load(self, ids)

    async def seq_ends(self, since_us: int | None = None, until_us: int | None = None) -> Range:
        if since_us is not None or until_us is not None:
            return await spanned(self, since_us, until_us)
        least = await self.connection.fetchval("SELECT min(first_seq) FROM sidelog.spans")
        if least is None:
            return Range(1, 0)
        return Range(least, (await self.state()).last_seq)

    async def id_ends(self, within: Range) -> Range:
        return await spanned_ids(self, within)

    async def rows_by_seq(self, filter: Filter) -> Found | None:
        async def bind(part: Range) -> Bound:
            ids = await id_range(self.connection, part)
            return partial(_bounded, ids)

        return await Found.of(self, filter, bind, index_keys.by_seq)

    async def rows_by_id(self, filter: Filter, whole: Range) -> Found | None:
        has_bucket = _has_bucket(filter)

        async def bind(part: Range) -> Bound:
            ids = UUID(int=part.first), UUID(int=part.last)

            def bound(where: Where, some: Range) -> Where:
                where = _bounded(ids, where, whole)
                return _in_buckets(where, ids) if has_bucket else where

            return bound

        return await Found.of(
            self, filter, bind, index_keys.by_id_bucket if has_bucket else index_keys.by_id
        )

    async def records(self, rows: Rows) -> list[Record]:
        return await decode_rows(self, rows, self._names)

    payloads = unpacked
    can_have = words_can_have

    async def places(self, seqs: Sequence[int], purge_floor_us: int) -> Rows:
        ids = await id_range(self.connection, Range(seqs[0], seqs[-1]))
        return await self.fetch(_PLACES, (seqs, *ids, purge_floor_us))

    async def blocks(self, ids: Sequence[int]) -> list[tuple[int, bytes]]:
        sql = "SELECT id, data FROM sidelog.blocks WHERE id = ANY($1::bigint[])"
        return [(number, data) for number, data in await self.fetch(sql, (ids,))]


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
    buckets = (index_keys.id_bucket(id_ms(each.bytes)) for each in ids)
    text = f"{where.text} AND {index_keys.id_between(number, number + 2)}"
    return Where(text, (*where.parameters, *ids, *buckets))


def _has_bucket(filter: Filter) -> bool:
    """Whether an index has the rows of a project, or those of a client's route, by the buckets of
    their ids.
    """
    asked = asked_fields(filter)
    return "project" in asked or {"route_id", "client"} <= asked


def _escaped(parameters: Parameters) -> tuple[Any, ...]:
    return tuple([escape(value) if isinstance(value, str) else value for value in parameters])
