"""The rows of a filter with its search: the conditions they fulfil, and those among them that hold
what none can say.

Strategy: rows are walked in slices (`reads.text_index.walk`). Of each slice, every way of the
search (`ways`) finds its rows: by a condition, which becomes that of the slice's statement, or by
looking into those that fulfil one (`sieve`), which become a parameter of it. Rows that the read has
found before (`known_rows`) are not looked into again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Self

from storage.query import Filter, Order
from storage.relational.search import condition
from storage.relational.search.sieve import Sieve, with_keys
from storage.relational.search.ways import Way, ways_of
from storage.relational.session import Session, Sifted
from storage.relational.slices import Range, Window, spread
from storage.relational.sql import Dialect, Rows, Where
from storage.relational.writes.packing import COLUMNS
from storage.search.index.needs import NOTHING, Need

FIRST_ROWS: Final = 16
"""Of a walk that looks into each, which no budget ends: 0.5 s with 1 MB each way. Quick slices make
it wide at once.
"""

_SCANNED_FASTER: Final = 200
"""How many times as many rows are scanned in the time that so many are looked into."""

Bound = Callable[[Where, Range], Where]
"""Adds to conditions that rows are in a slice."""
Bind = Callable[[Range], Awaitable[Bound]]
"""Makes that of a slice, or of parts of it."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How the rows of one way are found."""

    condition: Where | None
    """What of its search a condition says, its parameters numbered behind those of the filter;
    None: nothing.
    """
    plain: Where
    """All conditions on them."""
    sieve: Sieve | None
    """What they must fulfil beside."""
    need: Need

    async def look(self, session: Session, part: Range, bound: Bound) -> Rows | None:
        """Read those rows of a slice that the sieve lets through; None when the budget ended it."""
        found: list[Any] = []
        if self.sieve is None:
            return found

        for some in _parts(part, self.need, session.dialect):
            passed = await self.sieve.pass_through(session, bound(self.plain, some))
            if passed is None:
                return None
            found += passed

        return found


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of a filter, as `Selection` has them."""

    session: Session
    bind: Bind
    order_by: Callable[[Order], str]
    where: Where
    """What the filter says beside its search."""
    ways: tuple[_Way, ...]
    known: list[Any] | None = None
    """The rows, where the read has found them before."""

    @classmethod
    async def of(
        cls, session: Session, filter: Filter, bind: Bind, order_by: Callable[[Order], str]
    ) -> Self | None:
        """Write the conditions of a filter over the table of records; None when nothing can match."""
        ids = await session.ids_of(condition.texts(filter))
        dialect = session.dialect
        where = condition.conditions(filter, ids, dialect)
        if where is None:
            return None

        known = session.known_rows.keys_of(filter)
        if known is not None:
            return cls(session, bind, order_by, where, (), known)

        def found(way: Way) -> _Way:
            wide = condition.sql_superset(way.search)
            left = condition.residual(way.search)
            if wide is None:
                said = None
            else:
                said = condition.search_condition(wide, ids, dialect, 1 + len(where.parameters))
            return _Way(said, _both(where, said), None if left is None else Sieve(left), way.need)

        return cls(session, bind, order_by, where, tuple(map(found, ways_of(filter.where))))

    @property
    def first_rows(self) -> int | None:
        dialect = self.session.dialect
        has_sieve = any(way.sieve for way in self.ways)
        if has_sieve:
            rows = dialect.scan_rows // _SCANNED_FASTER or FIRST_ROWS
        else:
            rows = dialect.scan_rows
        return rows * self.session.numbers_per_row or None

    @property
    def needs(self) -> tuple[Need, ...]:
        return tuple(way.need for way in self.ways) or (NOTHING,)

    async def within(self, part: Range) -> Where | None:
        session, dialect, rows = self.session, self.session.dialect, dict[Any, Any]()
        bound = await self.bind(part)
        if self.known is not None:
            return with_keys(bound(self.where, part), "AND", self.known, dialect, 1)

        key = COLUMNS.index(dialect.row_key)
        for way in self.ways:
            passed = await way.look(session, part, bound)
            if passed is None:
                return None
            rows.update((row[key], row) for row in passed)

        keys = list(rows)
        for way in self.ways:
            if way.sieve is None:
                said = way.condition
                if keys and said is not None:
                    said = with_keys(said, "OR", keys, dialect, 1 + len(self.where.parameters))
                return bound(_both(self.where, said), part)

        where = with_keys(bound(self.where, part), "AND", keys, dialect, 1)
        return Sifted(where.text, where.parameters, list(rows.values()))


def _both(where: Where, other: Where | None) -> Where:
    if other is None:
        return where
    return Where(f"{where.text} AND {other.text}", (*where.parameters, *other.parameters))


def _parts(part: Range, need: Need, dialect: Dialect) -> tuple[Range, ...]:
    """List what of a slice is looked into for a need."""
    if not isinstance(part, Window) or need == NOTHING:
        return (part,)
    if dialect.joins_ranges and part.possible:
        return (spread(part.possible),)
    return part.possible
