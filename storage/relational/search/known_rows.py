"""The rows that one read has found by looking into them, for its next questions about the same
records. Pure.

A summary asks for totals, for the most frequent values and for models, the top of a search for sums
and for latencies: each of all rows of the search. To look into a body takes a hundred times as long
as to read its row.

Invariant: of one read, in one state of the store.
"""

from collections.abc import Collection
from typing import Any, Final

from storage.query import Filter
from storage.relational.search.condition import is_sql_expressible
from storage.search.expression import conjuncts

MAX_ROWS: Final = 20_000
"""Known of a search: each statement that follows names them all."""


class KnownRows:
    """What was found, each time for a filter."""

    def __init__(self) -> None:
        self._found: list[tuple[Filter, Collection[Any]]] = []

    def note(self, filter: Filter, keys: Collection[Any]) -> None:
        """Remember all rows of a filter, by the dialect's `row_key`, unless there are too many."""
        if len(keys) <= MAX_ROWS:
            self._found.append((filter, keys))

    def keys_of(self, filter: Filter) -> list[Any] | None:
        """Return rows among which are all of a filter, which fulfil what of its search no condition
        says.
        """
        for wide, keys in self._found:
            if is_narrower(filter, wide):
                return list(keys)
        return None


def is_narrower(filter: Filter, wide: Filter) -> bool:
    """Whether all records of a filter are those of another that fulfil some conditions more."""
    asked = conjuncts(filter.where)
    known = conjuncts(wide.where)
    return (
        filter.scope == wide.scope
        and wide.kind in ("all", filter.kind)
        and _is_least(wide.since_us, filter.since_us)
        and _is_least(wide.seq_after, filter.seq_after)
        and _is_most(wide.until_us, filter.until_us)
        and _is_most(wide.seq_until, filter.seq_until)
        and all(part in asked for part in known)
        and all(part in known or is_sql_expressible(part) for part in asked)
    )


def _is_least(bound: int | None, other: int | None) -> bool:
    return bound is None or (other is not None and bound <= other)


def _is_most(bound: int | None, other: int | None) -> bool:
    return bound is None or (other is not None and bound >= other)
