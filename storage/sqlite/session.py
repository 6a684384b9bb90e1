"""The session for shared reads in SQLite: coroutines that never suspend, as SQLite answers in the
thread.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import ClassVar, Final, TypeVar

from storage.query import Filter
from storage.relational.by_id import ID_BYTES
from storage.relational.facet_counts import KnownCounts
from storage.relational.search.condition import asked_fields
from storage.relational.search.rows import Bound, Found
from storage.relational.session import State
from storage.relational.slices import Range, Spread
from storage.relational.sql import (
    DICTIONARY_KINDS,
    Dialect,
    Parameters,
    Texts,
    Where,
    is_connection,
)
from storage.relational.table_session import TableSession
from storage.relational.writes.packing import COLUMNS, PLACES
from storage.relational.writes.remembered import Names
from storage.sqlite.codec import Row
from storage.sqlite.connection import AMONG, SEQ_AMONG, Budget, number_list
from storage.sqlite.dictionary import find
from storage.sqlite.histograms import SUM, bucket_of, unpack_histogram
from storage.sqlite.search_functions import ID_TEXT, like

T = TypeVar("T")

_VALUE: Final = "SELECT value FROM meta WHERE name ="

DIALECT: Final = Dialect(
    placeholder=lambda number: f"?{number}",
    given=lambda types: f"VALUES ({', '.join('?' * len(types))})",
    trace_id="(trace_id <> 0 AND trace_id = {})",
    tool="seq IN (SELECT record_seq FROM tool_calls WHERE tool_name IN ({}))",
    combination=lambda column, kind, marks: (
        f"{column} IN (SELECT id FROM dictionary WHERE kind = {kind} "
        f"AND ({' OR '.join(f'instr(value, {mark}) > 0' for mark in marks)}))"
    ),
    tool_text="instr(search, {}) > 0",
    tool_request="llm_request_id = {}",
    like=like,
    in_network=lambda first, last, length: (
        f"(client_ip <> 0 AND length(client_ip) = {length} AND client_ip BETWEEN {first} AND "
        f"{last})"
    ),
    # 1 stands for the record's own id (storage/relational/writes/codec.py).
    text_columns={"request_id": f"CASE request_id WHEN 1 THEN {ID_TEXT} ELSE request_id END"},
    bucket=bucket_of,
    is_connection=is_connection(
        "(SELECT id FROM dictionary "
        f"WHERE kind = {DICTIONARY_KINDS['method']} AND value = 'CONNECT')"
    ),
    histograms=SUM,
    to_counts=unpack_histogram,
    has_text="{} <> 0",
    among=AMONG,
    number_list=number_list,
    of_keys=AMONG.format("seq", "{}"),
    record_columns=", ".join(COLUMNS),
    state=f"SELECT {', '.join(f'({_VALUE} {name!r})' for name in State._fields)}",
    erasures=f"{_VALUE} 'erasures'",
    change_state=lambda name, then: (
        f"UPDATE meta SET value = {then.format('value')} WHERE name = '{name}'"
    ),
    span_key="last_seq",
    no_bytes="x''",
    # Counters of the batches are in the same table.
    meta_prefix="value:",
)
_PLACES: Final = f"SELECT seq, {', '.join(PLACES)}, started_at_us FROM records"


def _in_slice(where: Where, part: Range) -> Where:
    if isinstance(part, Spread):
        seqs = [seq for some in part.parts for seq in range(some.first, some.last + 1)]
        return Where(f"{where.text} AND {SEQ_AMONG}", (*where.parameters, number_list(seqs)))
    return Where(
        f"{where.text} AND seq BETWEEN ? AND ?", (*where.parameters, part.first, part.last)
    )


async def _bind(part: Range) -> Bound:
    return _in_slice


class SqliteStatements:
    """`storage.relational.rollup_tables.Statements` over a connection, in its thread and inside a
    transaction.
    """

    dialect: ClassVar[Dialect] = DIALECT

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    async def fetch(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        return self.connection.execute(sql, parameters).fetchall()

    async def write_rows(self, sql: str, rows: Sequence[Parameters]) -> None:
        self.connection.executemany(sql, rows)

    async def ids_of(self, texts: Texts) -> dict[str, dict[str, int]]:
        return find(self.connection, texts)


class SqliteSession(SqliteStatements, TableSession[Budget]):
    """`storage.relational.session.Session` over a connection, in its thread and inside a
    transaction.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        names: Names,
        known_counts: KnownCounts,
        budget: Budget,
    ) -> None:
        SqliteStatements.__init__(self, connection)
        TableSession.__init__(self, names, known_counts, budget)

    async def fetch_in_budget(
        self, sql: str, parameters: Parameters, *, is_part: bool = False
    ) -> list[Row] | None:
        return self.budget.execute(self.connection, sql, tuple(parameters), is_part=is_part)

    async def aside(self, work: Callable[[], T]) -> T:
        return work()  # the session already runs in a thread of its own

    async def rows_by_seq(self, filter: Filter) -> Found | None:
        return await Found.of(self, filter, _bind, DIALECT.by_seq)

    async def rows_by_id(self, filter: Filter, whole: Range) -> Found | None:
        # A literal, not a parameter, so that SQLite recognises the condition of the partial index.
        if "client" in asked_fields(filter):
            index = " AND client <> 0"
        else:
            index = ""
        # The plus keeps SQLite from using the index on seq, after which it would have to sort.
        within = f"{index} AND +seq BETWEEN ? AND ? AND id BETWEEN ? AND ?"

        async def bind(part: Range) -> Bound:
            ids = [number.to_bytes(ID_BYTES, "big") for number in (part.first, part.last)]
            bounds = (whole.first, whole.last, *ids)
            return lambda where, some: Where(where.text + within, (*where.parameters, *bounds))

        return await Found.of(self, filter, bind, lambda order: f"ORDER BY id {order}")

    async def places(self, seqs: Sequence[int], purge_floor_us: int) -> list[Row]:
        sql = f"{_PLACES} WHERE {SEQ_AMONG} AND started_at_us >= ?"
        return await self.fetch(sql, (number_list(seqs), purge_floor_us))
