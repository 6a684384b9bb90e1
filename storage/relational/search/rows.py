"""The rows of a filter with its search: the condition they fulfil, and those among them that hold what it cannot say.

Strategy: rows are walked in slices, where words are searched only those that can have them by the index of words
(`reads.text_index.walk`). Of each slice the rows that fulfil the condition, and of which a quick look at what is stored
does not tell that a word is missing (`reads.text_index.narrow`), are read as records, with heads and bodies where the
search is about them, and judged by `storage.search.meaning`, some at a time; those found become one more parameter of
the slice's statement.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, Final

from storage.query import Filter
from storage.record import Payload, Record
from storage.relational.search import condition
from storage.relational.session import Rows, Session, Sifted
from storage.relational.sql import Dialect, Texts, Where, conditions, texts
from storage.relational.writes.packing import COLUMNS
from storage.search.clues import clues_of
from storage.search.expression import Expression, needs_payload, needs_tools, negated_at_leaves
from storage.search.meaning import fulfils
from storage.search.subject import Subject

SLICE_ROWS: Final = 1000
"""Rows of the first slice of a walk that looks into each, over a network: with 2 KB each about 50 ms."""
_ROWS: Final = 100
"""Rows judged between two looks at the clock."""


def filter_texts(filter: Filter) -> Texts:
    """Name the dictionary values that a filter needs, by column, its search included."""
    wanted = texts(filter)
    for column, values in condition.texts(filter.where).items():
        wanted[column] = wanted.get(column, ()) + values
    return wanted


def filter_conditions(
    filter: Filter, ids: condition.Ids, dialect: Dialect, *, first_parameter: int = 1
) -> Where | None:
    """Build the clause of a filter over the table of records; None when nothing can match.

    Args:
        filter: What to find; of its search, what a condition can say.
        ids: Column → text → dictionary id, of every value of `filter_texts` that the store has.
        dialect: The backend's.
        first_parameter: Number of the first parameter, for dialects that number them.
    """
    where = conditions(filter, ids, dialect, first_parameter=first_parameter)
    wide = None if filter.where is None else condition.widened(negated_at_leaves(filter.where))
    if where is None or wide is None:
        return where
    parameters: list[Any] = list(where.parameters)

    def add(value: Any) -> str:
        parameters.append(value)
        return dialect.placeholder(first_parameter + len(parameters) - 1)

    text = condition.condition(wide, ids, dialect, add)
    return Where(f"{where.text} AND {text}", tuple(parameters))


@dataclass(frozen=True, slots=True)
class Sieve:
    """What rows must fulfil beside their condition."""

    search: Expression

    @classmethod
    def of(cls, filter: Filter) -> "Sieve | None":
        """Make the sieve of a filter; None when its condition says everything."""
        left = None if filter.where is None else condition.unsaid(negated_at_leaves(filter.where))
        return None if left is None else cls(left)

    async def pass_through(self, session: Session, where: Where) -> Rows | None:
        """Read those of some rows that fulfil it (`record_columns` of the dialect); None when the budget ended it.

        Args:
            session: To read from.
            where: The conditions on the rows, its parameters numbered from 1.
        """
        clues = clues_of(self.search)
        if clues:
            possible = await session.can_have(where, clues)
            if not possible:
                return possible
            where = _narrowed(where, possible, session.dialect, 1)
        sql = f"SELECT {session.dialect.record_columns} FROM {session.dialect.schema}records WHERE {where.text}"
        rows = await session.fetch_part(sql, where.parameters)
        if rows is None:
            return None
        found: list[Any] = []
        for start in range(0, len(rows), _ROWS):
            if session.budget.ends_next:
                return None
            some = rows[start : start + _ROWS]
            found += compress(some, await self._judge(session, await session.records(some)))
        return found

    async def _judge(self, session: Session, records: Sequence[Record]) -> list[bool]:
        payloads: Mapping[int, Payload] = await session.payloads_of(records) if needs_payload(self.search) else {}
        tools = await _tools_of(session, [record.seq for record in records]) if needs_tools(self.search) else {}

        def judge() -> list[bool]:
            return [
                fulfils(Subject(record, payloads.get(record.seq), tools.get(record.seq, ())), self.search)
                for record in records
            ]

        return await session.aside(judge)


def passed(where: Where, rows: Rows, dialect: Dialect, *, first_parameter: int = 1) -> Sifted:
    """Narrow a clause to the rows that passed."""
    key = COLUMNS.index(dialect.row_key)
    narrowed = _narrowed(where, [row[key] for row in rows], dialect, first_parameter)
    return Sifted(narrowed.text, narrowed.parameters, rows)


def _narrowed(where: Where, keys: list[Any], dialect: Dialect, first_parameter: int) -> Where:
    among = dialect.of_keys.format(dialect.placeholder(first_parameter + len(where.parameters)))
    return Where(f"{where.text} AND {among}", (*where.parameters, dialect.number_list(keys)))


async def _tools_of(session: Session, seqs: list[int]) -> dict[int, tuple[str, ...]]:
    dialect = session.dialect
    among = dialect.among.format("record_seq", dialect.placeholder(1))
    sql = f"SELECT DISTINCT record_seq, tool_name FROM {dialect.schema}tool_calls WHERE {among}"
    rows = await session.fetch(sql, (dialect.number_list(seqs),))
    names = await session.text_of({name for _, name in rows})
    found: dict[int, tuple[str, ...]] = {}
    for seq, name in rows:
        if (text := names[name]) is not None:
            found[seq] = (*found.get(seq, ()), text)
    return found
