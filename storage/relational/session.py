"""The database of a read: one transaction that sees one state of the store, and a budget of time.

Strategy: reads are written once, as coroutines over a `Session`, and every backend has its own
session. With a synchronous driver they never suspend, and `run_sync` runs them to their end on the
driver's thread.

Invariant: the first query of a read that `fetch_in_budget` runs always completes, so that every
read makes progress.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, Self, TypeVar

from storage.query import Filter, Order
from storage.record import Payload, Record
from storage.relational.blocks.payloads import RecentBlocks
from storage.relational.facet_counts import KnownCounts
from storage.relational.search.known_rows import KnownRows
from storage.relational.slices import Range
from storage.relational.sql import MAX_INT, Dialect, Ids, Parameters, Rows, Texts, Where
from storage.search.clues import Clue, Part
from storage.search.index.needs import Need

T = TypeVar("T")


class State(NamedTuple):
    """The state of the store as a whole."""

    last_seq: int
    purge_floor_us: int
    """Rows that started before are purged, or will be; 0 without a floor."""
    body_floor_us: int
    purged_through_seq: int
    capped_dimensions: int
    """Bits of the dimensions that have `OTHER` in rollups."""
    key_version: int
    erasures: int
    """Rises with every erased slice."""
    bodies_through_seq: int
    """The cap on size has removed all bodies up to this row."""
    trims: int
    """Rises with every slice of rows that the cap on size removes."""
    trimmed_until_us: int
    """Start of the latest row that the cap on size removed."""
    folded_until: int
    """The rollups by day contain all hours before this one."""

    def visible(self, filter: Filter) -> Filter:
        floor_us = self.purge_floor_us
        if floor_us and (filter.since_us is None or filter.since_us < floor_us):
            return replace(filter, since_us=floor_us)
        return filter


class ReadBudget:
    """The time for the queries of one read.

    The first query runs to its end whatever the budget, so that every read makes progress: keep it
    small. A query that only prepares it (`is_part`) also runs to its end, and the next one still
    counts as the first.
    """

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._is_first = True

    def another(self, seconds: float) -> Self:
        """Make a budget for a part of the same read."""
        return type(self)(seconds)

    @property
    def rest_s(self) -> float:
        """The time that is left; negative once it is spent."""
        return self._deadline - time.monotonic()

    @property
    def is_spent(self) -> bool:
        return self.rest_s <= 0

    @property
    def ends_next(self) -> bool:
        """True if the next query would be ended before it begins."""
        return not self._is_first and self.is_spent

    def begin_query(self, *, is_part: bool) -> bool:
        """Begin a query, or with `is_part` one that prepares it; return True if it runs to its end
        in any case.
        """
        is_first = self._is_first
        self._is_first = self._is_first and is_part
        return is_first


@dataclass(frozen=True, slots=True)
class Sifted(Where):
    """The conditions on rows that have been read already."""

    rows: Rows
    """With the dialect's `record_columns`, in any order."""


class Selection(Protocol):
    """The rows of a filter, to be read slice by slice."""

    @property
    def first_rows(self) -> int | None:
        """Rows of the first slice; None for the usual number."""
        ...

    @property
    def needs(self) -> tuple[Need, ...]:
        """Conditions on words of these rows, for the index: one for each way of finding the rows."""
        ...

    def order_by(self, order: Order) -> str:
        """Write the order of the rows."""
        ...

    async def within(self, part: Range) -> Where | None:
        """Write the conditions on the rows of a slice; None if the budget ended the search for
        them.
        """
        ...


class Session(Protocol):
    """One transaction, of one caller."""

    numbers_per_row: int
    """The approximate distance between the `seq`s of neighbours: widths are given in rows."""

    @property
    def dialect(self) -> Dialect:
        """The SQL of this database."""
        ...

    @property
    def known_counts(self) -> KnownCounts:
        """Remembered counts of the store's rollups."""
        ...

    @property
    def known_rows(self) -> KnownRows:
        """Rows that this read has found."""
        ...

    def limited(self, seconds: float) -> Self:
        """Return the same transaction with a separate budget."""
        ...

    async def state(self) -> State:
        """Read the state of the store, once."""
        ...

    async def fetch(self, sql: str, parameters: Parameters = ()) -> Rows:
        """Run a query and fetch everything, in the store's own time."""
        ...

    async def fetch_in_budget(
        self, sql: str, parameters: Parameters, *, is_part: bool = False
    ) -> Rows | None:
        """Run a query, or with `is_part` one that prepares it, and fetch everything; None if the
        budget ended it.
        """
        ...

    @property
    def budget(self) -> ReadBudget:
        """The time for the queries of this read."""
        ...

    async def aside(self, work: Callable[[], T]) -> T:
        """Compute something that takes milliseconds, without blocking other callers."""
        ...

    async def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        """Run a statement for each row of parameters."""
        ...

    async def ids_of(self, texts: Texts) -> Ids:
        """Look up the dictionary ids of text, by column; unknown text is left out."""
        ...

    async def text_of(self, ids: Iterable[Any]) -> Mapping[Any, str | None]:
        """Look up the text of dictionary ids; null, or 0, is null."""
        ...

    async def seq_ends(self, since_us: int | None = None, until_us: int | None = None) -> Range:
        """Find the first and the last `seq` of all rows, or of the rows that started in a range of
        time.
        """
        ...

    async def id_ends(self, within: Range) -> Range:
        """Find the first and the last millisecond in the ids of the rows in a range of `seq`."""
        ...

    async def rows_by_seq(self, filter: Filter) -> Selection | None:
        """Select rows in slices of `seq`; None if nothing can match."""
        ...

    async def rows_by_id(self, filter: Filter, whole: Range) -> Selection | None:
        """Select rows of a range of `seq` in slices of ids; None if nothing can match."""
        ...

    async def records(self, rows: Rows) -> list[Record]:
        """Decode rows that have the dialect's `record_columns`."""
        ...

    async def payloads(self, seqs: Sequence[int]) -> dict[int, Payload]:
        """Read heads and bodies of some rows by `seq`; rows without a payload are left out."""
        ...

    def can_have(
        self, where: Where, clues: Sequence[Clue], parts: AbstractSet[Part]
    ) -> AsyncIterator[list[Any] | None]:
        """Find the rows that can contain a word of each clue in some parts, by the dialect's
        `row_key`: at least one at a time.

        Yields None, and nothing more, when out of budget.
        """
        ...


class BlockSession(Session, Protocol):
    """A session of a store that keeps payloads in blocks."""

    @property
    def recent_blocks(self) -> RecentBlocks:
        """Blocks that this read has inflated."""
        ...

    async def places(self, seqs: Sequence[int], purge_floor_us: int) -> Rows:
        """Read the places of the payloads of some rows: seq, block, offset and length of heads and
        of bodies, start.
        """
        ...

    async def blocks(self, ids: Sequence[int]) -> Iterable[tuple[int, bytes]]:
        """Read blocks of payloads: ids and zstd frames."""
        ...


def within_int(value: int) -> int:
    return max(min(value, MAX_INT), -MAX_INT)


def run_sync(work: Awaitable[T]) -> T:
    """Run a coroutine that never suspends, outside of any event loop."""
    iterator = work.__await__()
    try:
        next(iterator)
    except StopIteration as done:
        result: T = done.value
        return result

    raise AssertionError("bug: a read over a synchronous driver has suspended")
