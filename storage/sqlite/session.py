"""The session that shared reads run over, in SQLite: plain calls behind coroutines that never
suspend.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from typing import Final, Self, TypeVar

from storage.query import Filter
from storage.record import Record
from storage.relational.blocks.payloads import RecentBlocks
from storage.relational.blocks.read import unpacked
from storage.relational.by_id import ID_BYTES
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
from storage.sqlite.codec import Row, decode_rows
from storage.sqlite.connection import AMONG, ID_AMONG, SEQ_AMONG, Budget, number_list
from storage.sqlite.dictionary import find
from storage.sqlite.histograms import SUM, bucket_of, unpack_histogram
from storage.sqlite.search_functions import ID_TEXT, like

T = TypeVar("T")

DIALECT: Final = Dialect(
    placeholder=lambda number: "?",
    trace_id="(trace_id <> 0 AND trace_id = {})",
    tool="seq IN (SELECT record_seq FROM tool_calls WHERE tool_name IN ({}))",
    combination=lambda column, kind, marks: (
        f"{column} IN (SELECT id FROM dictionary WHERE kind = {kind} "
        f"AND ({' OR '.join(f'instr(value, {mark}) > 0' for mark in marks)}))"
    ),
    tool_text="instr(search, {}) > 0",
    tool_request="(llm_request_id <> 0 AND llm_request_id = {})",
    like=like,
    in_network=lambda first, last, length: (
        f"(client_ip <> 0 AND length(client_ip) = {length} AND client_ip BETWEEN {first} AND "
        f"{last})"
    ),
    # 1 is that of the record itself (storage/sqlite/codec.py).
    text_columns={"request_id": f"CASE request_id WHEN 1 THEN {ID_TEXT} ELSE request_id END"},
    bucket=bucket_of,
    histograms=SUM,
    to_counts=unpack_histogram,
    has_text="{} <> 0",
    among=AMONG,
    number_list=number_list,
    of_keys=AMONG.format("seq", "{}"),
    record_columns=", ".join(COLUMNS),
    erasures="SELECT value FROM meta WHERE name = 'erasures'",
    change_state=lambda name, then: (
        f"UPDATE meta SET value = {then.format('value')} WHERE name = '{name}'"
    ),
    span_key="last_seq",
    least="min",
    greatest="max",
    no_bytes="x''",
    # Counters of the batches are in the same table.
    meta_prefix="value:",
)
_STATE: Final = ", ".join(
    f"(SELECT value FROM meta WHERE name = '{name}')" for name in State._fields
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
    """`storage.relational.rollup_tables.Statements` over a connection, on its thread and inside a
    transaction.
    """

    dialect: Final = DIALECT

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    async def fetch(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        return self.connection.execute(sql, parameters).fetchall()

    async def write_rows(self, sql: str, rows: Sequence[Parameters]) -> None:
        self.connection.executemany(sql, rows)

    async def ids_of(self, texts: Texts) -> dict[str, dict[str, int]]:
        return find(self.connection, texts)


class SqliteSession(SqliteStatements):
    """`storage.relational.session.Session` over the same."""

    numbers_per_row = 1

    def __init__(
        self,
        connection: sqlite3.Connection,
        names: Names,
        known_counts: KnownCounts,
        budget: Budget,
    ) -> None:
        super().__init__(connection)
        self.known_counts = known_counts
        self._names = names
        self.budget = budget
        self.known_rows = KnownRows()
        self.recent_blocks = RecentBlocks()
        self._state: State | None = None

    def limited(self, seconds: float) -> Self:
        limited = copy(self)
        limited.budget = self.budget.another(seconds)
        return limited

    async def state(self) -> State:
        if self._state is None:
            self._state = State(*self.connection.execute(f"SELECT {_STATE}").fetchone())
        return self._state

    async def fetch_in_budget(
        self, sql: str, parameters: Parameters, *, is_part: bool = False
    ) -> list[Row] | None:
        return self.budget.execute(self.connection, sql, tuple(parameters), is_part=is_part)

    async def aside(self, work: Callable[[], T]) -> T:
        return work()  # this is a thread of the store's own

    execute_many = SqliteStatements.write_rows

    async def text_of(self, ids: Iterable[int | None]) -> Mapping[int | None, str | None]:
        return await self._names.load(self, ids)

    async def seq_ends(self, since_us: int | None = None, until_us: int | None = None) -> Range:
        if since_us is not None or until_us is not None:
            return await spanned(self, since_us, until_us)
        # Two sub-selects: min and max in one select scan the table.
        sql = "SELECT (SELECT min(seq) FROM records), (SELECT max(seq) FROM records)"
        least, most = self.connection.execute(sql).fetchone()
        return Range(1, 0) if least is None else Range(least, most)

    async def id_ends(self, within: Range) -> Range:
        return await spanned_ids(self, within)

    async def rows_by_seq(self, filter: Filter) -> Found | None:
        return await Found.of(self, filter, _bind, DIALECT.by_seq)

    async def rows_by_id(self, filter: Filter, whole: Range) -> Found | None:
        # Literal: it is the condition of the partial index.
        index = " AND client <> 0" if "client" in asked_fields(filter) else ""
        # The plus keeps SQLite from walking by seq and sorting.
        within = f"{index} AND +seq BETWEEN ? AND ? AND id BETWEEN ? AND ?"

        async def bind(part: Range) -> Bound:
            ids = [number.to_bytes(ID_BYTES, "big") for number in (part.first, part.last)]
            bounds = (whole.first, whole.last, *ids)
            return lambda where, some: Where(where.text + within, (*where.parameters, *bounds))

        return await Found.of(self, filter, bind, lambda order: f"ORDER BY id {order}")

    async def records(self, rows: Rows) -> list[Record]:
        return await decode_rows(self, rows, self._names)

    payloads = unpacked
    can_have = words_can_have

    async def places(self, seqs: Sequence[int], purge_floor_us: int) -> list[Row]:
        sql = f"{_PLACES} WHERE {SEQ_AMONG} AND started_at_us >= ?"
        return self.connection.execute(sql, (number_list(seqs), purge_floor_us)).fetchall()

    async def blocks(self, ids: Sequence[int]) -> list[tuple[int, bytes]]:
        sql = f"SELECT id, data FROM blocks WHERE {ID_AMONG}"
        return self.connection.execute(sql, (number_list(ids),)).fetchall()
