"""Searches that SQL cannot express: rows are read and judged.

Strategy: a quick look at the stored bytes rules out rows of a slice that lack a word
(`reads.text_index.narrow`). The others are read as records, with heads and bodies where the search
is about them, and judged by `storage.search.meaning`, some at a time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from typing import Any, Final, Literal

from storage.record import Record
from storage.relational.blocks.portions import body_bytes, portions
from storage.relational.session import Session
from storage.relational.sql import Dialect, Rows, Where
from storage.search.clues import clues_of, parts_of
from storage.search.expression import Expression, needs_payload, needs_tools
from storage.search.meaning import fulfils
from storage.search.subject import Subject

_ROWS: Final = 100
"""Rows judged between two looks at the clock."""


@dataclass(frozen=True, slots=True)
class Sieve:
    """Judges rows by the part of a search that is no SQL condition."""

    search: Expression

    async def pass_through(self, session: Session, where: Where) -> Rows | None:
        """Read the rows that fulfil it (`record_columns` of the dialect); None when the budget
        ended it.

        The parameters of the conditions on the rows are numbered from 1.
        """
        clues = clues_of(self.search)
        if clues:
            possible = await session.can_have(where, clues, parts_of(self.search))
            if not possible:
                return possible
            where = with_keys(where, "AND", possible, session.dialect, 1)

        sql = (
            f"SELECT {session.dialect.record_columns} FROM {session.dialect.schema}records WHERE "
            f"{where.text}"
        )
        rows = await session.fetch_in_budget(sql, where.parameters, is_part=True)
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
        has_payloads = needs_payload(self.search)
        has_tools = needs_tools(self.search)
        found: list[bool] = []

        for some in portions(records, _ROWS, body_bytes) if has_payloads else (records,):
            seqs = [record.seq for record in some]
            payloads = await session.payloads(seqs) if has_payloads else {}
            tools = await _tools_of(session, seqs) if has_tools else {}
            subjects = [
                Subject(record, payloads.get(record.seq), tools.get(record.seq, ()))
                for record in some
            ]
            found += await session.aside(partial(self._fulfil, subjects))

        return found

    def _fulfil(self, subjects: Iterable[Subject]) -> list[bool]:
        return [fulfils(subject, self.search) for subject in subjects]


def with_keys(
    where: Where,
    joint: Literal["AND", "OR"],
    keys: list[Any],
    dialect: Dialect,
    first_parameter: int,
) -> Where:
    """Widen conditions by the rows of some keys (OR), or restrict them to those (AND)."""
    among = dialect.of_keys.format(dialect.placeholder(first_parameter + len(where.parameters)))
    return Where(f"({where.text} {joint} {among})", (*where.parameters, dialect.number_list(keys)))


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
