"""The rows of a filter: found by SQL where that can express its search, else read and judged.

Strategy: a search is split into ways (access paths), whose rows together are those of the search.
Most searches have one. In `reset or status:500` the index of words serves only one alternative, so
there are two ways: one for alternatives without words, which columns answer, and one for those
with words, whose rows are in few cells. Negations are moved to the leaves first, so that each part
can be judged by itself.

Rows are walked in slices (`reads.text_index.walk`). A way whose search is all SQL is a condition of
the slice's statement. For any other, the rows that fulfil an SQL superset are examined: the
stored bytes rule out most that lack a word (`reads.text_index.narrow`), and the others are decoded
and judged by `storage.search.meaning`. The keys of those that match become a parameter of the
statement. Rows that this read has examined before (`known_rows`) are not examined again.

Invariant: a record matches a filter when it fulfils the filter's SQL conditions and the search of
one of the ways.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from typing import Any, Final, Literal, NamedTuple, Self

from storage.query import Filter, Order
from storage.record import Record
from storage.relational.blocks.portions import body_bytes, portions
from storage.relational.search.condition import (
    conditions,
    is_sql_expressible,
    residual,
    search_condition,
    sql_superset,
    texts,
)
from storage.relational.session import Session, Sifted
from storage.relational.slices import Range, Window, spread
from storage.relational.sql import MAX_INT, Dialect, Rows, Where
from storage.relational.writes.packing import COLUMNS
from storage.search.clues import clues_of, parts_of
from storage.search.expression import (
    And,
    Expression,
    Is,
    Like,
    Or,
    conjuncts,
    either,
    joined,
    leaves,
    needs_payload,
    needs_tools,
    negated_at_leaves,
    one_of,
)
from storage.search.index.needs import NOTHING, Need, expression_need
from storage.search.index.needs import joined as joined_needs
from storage.search.meaning import fulfils
from storage.search.subject import Subject

FIRST_ROWS: Final = 16
"""Rows of the first slice that are examined, independent of the budget: 0.5 s with 1 MB each way.
After a quick slice the next is up to eight times as wide.
"""
_SCANNED_PER_EXAMINED: Final = 200
"""Rows that are scanned in the time in which one is examined."""
_JUDGED_ROWS: Final = 100
"""Rows judged between two looks at the clock."""

Bound = Callable[[Where, Range], Where]
"""Adds to conditions that rows are in a slice, or in a part of it."""
Bind = Callable[[Range], Awaitable[Bound]]
"""Returns the `Bound` of a slice."""


class Way(NamedTuple):
    """An access path to rows."""

    search: Expression | None
    """None: all rows that fulfil the filter's SQL conditions."""
    need: Need
    """The words by which the index finds these rows; `NOTHING`: all rows are candidates."""


@dataclass(frozen=True, slots=True)
class _CompiledWay:
    condition: Where | None
    """SQL superset of the search, its parameters numbered behind those of the filter; None: all
    rows.
    """
    where: Where
    """The same with the filter's conditions."""
    residual: Expression | None
    """The part of the search that SQL cannot express."""
    need: Need

    async def examine(self, session: Session, part: Range, bound: Bound) -> Rows | None:
        """Read the rows of a slice that fulfil the residual; None when the budget ended it."""
        if self.residual is None:
            return []

        candidates = _candidates(part, self.need)
        if candidates is None:
            return []
        return await _matching(session, bound(self.where, candidates), self.residual)


@dataclass(frozen=True, slots=True)
class Found:
    """Implements `Selection`: the rows of a filter, slice by slice."""

    session: Session
    bind: Bind
    order_by: Callable[[Order], str]
    where: Where
    """The filter's SQL conditions, those of the search only where they hold as a whole."""
    ways: tuple[_CompiledWay, ...]
    known: list[Any] | None = None
    """Keys of rows that the read has examined before; None: of this filter it has not."""

    @classmethod
    async def of(
        cls, session: Session, filter: Filter, bind: Bind, order_by: Callable[[Order], str]
    ) -> Self | None:
        """Compile a filter over the table of records; None when nothing can match."""
        ids = await session.ids_of(texts(filter))
        dialect = session.dialect
        where = conditions(filter, ids, dialect)
        if where is None:
            return None

        known = session.known_rows.keys_of(filter)
        if known is not None:
            return cls(session, bind, order_by, where, (), known)

        ways: list[_CompiledWay] = []
        for search, need in ways_of(filter.where):
            superset = sql_superset(search)
            condition = None
            if superset is not None:
                condition = search_condition(superset, ids, dialect, 1 + len(where.parameters))
            ways.append(_CompiledWay(condition, _both(where, condition), residual(search), need))

        return cls(session, bind, order_by, where, tuple(ways))

    @property
    def first_rows(self) -> int | None:
        if self.known is not None:
            return MAX_INT  # One statement looks them all up.
        dialect = self.session.dialect
        if any(way.residual for way in self.ways):
            rows = dialect.scan_rows // _SCANNED_PER_EXAMINED or FIRST_ROWS
        else:
            rows = dialect.scan_rows
        return rows * self.session.numbers_per_row or None

    @property
    def needs(self) -> tuple[Need, ...]:
        return tuple(way.need for way in self.ways) or (NOTHING,)

    async def within(self, part: Range) -> Where | None:
        dialect = self.session.dialect
        bound = await self.bind(part)
        if self.known is not None:
            return _with_keys(bound(self.where, part), "AND", self.known, dialect, 1)

        key = COLUMNS.index(dialect.row_key)
        matching: dict[Any, Any] = {}
        for way in self.ways:
            rows = await way.examine(self.session, part, bound)
            if rows is None:
                return None
            matching.update((row[key], row) for row in rows)

        keys = list(matching)
        for way in self.ways:
            if way.residual is None:
                # SQL finds the rows of this way. Those of the other are added by their keys.
                condition = way.condition
                if keys and condition is not None:
                    first_parameter = 1 + len(self.where.parameters)
                    condition = _with_keys(condition, "OR", keys, dialect, first_parameter)
                return bound(_both(self.where, condition), part)

        where = _with_keys(bound(self.where, part), "AND", keys, dialect, 1)
        return Sifted(where.text, where.parameters, list(matching.values()))


def ways_of(where: Expression | None) -> tuple[Way, ...]:
    """Return the one or two ways to the rows of a search.

    Conditions that SQL expresses as a whole are in the search of none of them.
    """
    parts = [negated_at_leaves(part) for part in conjuncts(where)]
    need = joined_needs(
        expression_need(part) for part in parts if is_sql_expressible(part) and not _is_quick(part)
    )
    search = joined(tuple(part for part in parts if not is_sql_expressible(part)))
    if search is None:
        return (Way(None, need),)

    *others, indexed = _split_by_index(search)
    indexed_need = joined_needs((need, expression_need(indexed)))
    # The walk looks up the words of the last way only, so they rule out no row of another.
    return (*(Way(each, NOTHING) for each in others), Way(indexed, indexed_need))


def _is_quick(part: Expression) -> bool:
    """Whether a scan for a condition is faster than the index of words: 4 instead of 8 ms."""
    return all(
        isinstance(leaf, Is) or (isinstance(leaf, Like) and len(leaf.parts) == 3)
        for leaf in leaves(part)
    )


def _split_by_index(search: Expression) -> tuple[Expression, ...]:
    """Split a search in two where the index serves only some alternatives.

    The first has no such alternative, the second asks for one of them.
    """
    if expression_need(search) != NOTHING:
        return (search,)

    rest, indexed = _without_indexed(search)
    # Where both have the same superset, the same rows would be examined twice.
    if rest is None or not indexed or sql_superset(rest) == sql_superset(search):
        return (search,)
    return rest, And((*conjuncts(either(indexed)), *conjuncts(search)))


def _without_indexed(search: Expression) -> tuple[Expression | None, list[Expression]]:
    """Remove the alternatives that only the index finds; return the rest, if any, and them.

    A record that fulfils the search but not the rest fulfils one of those removed.
    """
    if is_sql_expressible(search):
        return search, []
    if expression_need(search) != NOTHING:
        return None, [search]
    if not isinstance(search, And | Or):
        return search, []

    kept: list[Expression] = []
    removed: list[Expression] = []
    for part in search.parts:
        rest, indexed = _without_indexed(part)
        if rest is not None:
            kept.append(rest)
        removed += indexed

    if isinstance(search, And):
        return joined(tuple(kept)), removed
    return one_of(kept), removed


def _candidates(part: Range, need: Need) -> Range | None:
    """Return the rows of a slice that can have the words of a need; None for none."""
    if not isinstance(part, Window) or need == NOTHING:
        return part
    if part.possible:
        return spread(part.possible)
    return None


async def _matching(session: Session, where: Where, search: Expression) -> Rows | None:
    """Read the rows of some conditions that fulfil a search; None when the budget ended it.

    The rows have the dialect's `record_columns`; parameters of the conditions are numbered from 1.
    """
    clues = clues_of(search)
    if not clues:
        return await _judged(session, where, search)

    found: list[Any] = []
    async for possible in session.can_have(where, clues, parts_of(search)):
        if possible is None:
            return None
        chosen = _with_keys(where, "AND", possible, session.dialect, 1)
        rows = await _judged(session, chosen, search)
        if rows is None:
            return None
        found += rows

    return found


async def _judged(session: Session, where: Where, search: Expression) -> Rows | None:
    """Read the rows of some conditions, and keep those that fulfil a search; as `_matching`."""
    dialect = session.dialect
    sql = f"SELECT {dialect.record_columns} FROM {dialect.schema}records WHERE {where.text}"
    rows = await session.fetch_in_budget(sql, where.parameters, is_part=True)
    if rows is None:
        return None

    found: list[Any] = []
    for start in range(0, len(rows), _JUDGED_ROWS):
        if session.budget.ends_next:
            return None
        some = rows[start : start + _JUDGED_ROWS]
        found += compress(some, await _judge(session, search, await session.records(some)))

    return found


async def _judge(session: Session, search: Expression, records: Sequence[Record]) -> list[bool]:
    """Return of each record whether it fulfils a search."""
    has_payloads = needs_payload(search)
    has_tools = needs_tools(search)
    parts: Iterable[Sequence[Record]] = (records,)
    if has_payloads:
        parts = portions(records, _JUDGED_ROWS, body_bytes)

    judged: list[bool] = []
    for some in parts:
        seqs = [record.seq for record in some]
        if has_payloads:
            payloads = await session.payloads(seqs)
        else:
            payloads = {}
        if has_tools:
            tools = await _tools_of(session, seqs)
        else:
            tools = {}
        subjects = [
            Subject(record, payloads.get(record.seq), tools.get(record.seq, ())) for record in some
        ]
        judged += await session.aside(partial(_fulfil, search, subjects))

    return judged


def _fulfil(search: Expression, subjects: Sequence[Subject]) -> list[bool]:
    return [fulfils(subject, search) for subject in subjects]


async def _tools_of(session: Session, seqs: list[int]) -> dict[int, tuple[str, ...]]:
    """Return the names of the tools that records call, by `seq`."""
    dialect = session.dialect
    among = dialect.among.format("record_seq", dialect.placeholder(1))
    sql = f"SELECT DISTINCT record_seq, tool_name FROM {dialect.schema}tool_calls WHERE {among}"
    rows = await session.fetch(sql, (dialect.number_list(seqs),))
    names = await session.text_of({name for _, name in rows})

    found: dict[int, tuple[str, ...]] = {}
    for seq, name in rows:
        text = names[name]
        if text is not None:
            found[seq] = (*found.get(seq, ()), text)
    return found


def _both(where: Where, other: Where | None) -> Where:
    if other is None:
        return where
    return Where(f"{where.text} AND {other.text}", (*where.parameters, *other.parameters))


def _with_keys(
    where: Where,
    operator: Literal["AND", "OR"],
    keys: list[Any],
    dialect: Dialect,
    first_parameter: int,
) -> Where:
    """Restrict conditions to the rows of some keys (AND), or add those rows (OR)."""
    among = dialect.of_keys.format(dialect.placeholder(first_parameter + len(where.parameters)))
    return Where(
        f"({where.text} {operator} {among})", (*where.parameters, dialect.number_list(keys))
    )
