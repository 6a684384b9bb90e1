"""A cache of the rows that one read has found by examining them. Pure.

A summary asks several questions about all rows of a search: totals, most frequent values, models.
So does the top of a search. To examine a body takes a hundred times as long as to read its row.

Invariant: a cache belongs to one read, which sees one state of the store.
"""

from collections.abc import Collection
from typing import Any, Final

from storage.query import Filter
from storage.relational.search.condition import is_sql_expressible
from storage.search.expression import conjuncts

MAX_ROWS: Final = 20_000
"""Rows of a search that are cached: each following statement names them all."""


class KnownRows:
    """Filters with the keys of their rows."""

    def __init__(self) -> None:
        self._found: list[tuple[Filter, Collection[Any]]] = []

    def note(self, filter: Filter, keys: Collection[Any]) -> None:
        """Cache the keys (the dialect's `row_key`) of all rows of a filter, unless too many."""
        if len(keys) <= MAX_ROWS:
            self._found.append((filter, keys))

    def keys_of(self, filter: Filter) -> list[Any] | None:
        """Return keys of all rows of a filter, maybe of more; None when they are not known.

        All of them fulfil the residual of its search.
        """
        for known, keys in self._found:
            if is_narrower(filter, known):
                return list(keys)
        return None


def is_narrower(filter: Filter, other: Filter) -> bool:
    """Whether a filter is another one with further conditions that SQL can express."""
    asked = conjuncts(filter.where)
    known = conjuncts(other.where)
    return (
        filter.scope == other.scope
        and other.kind in ("all", filter.kind)
        and _is_lower(other.since_us, filter.since_us)
        and _is_lower(other.seq_after, filter.seq_after)
        and _is_upper(other.until_us, filter.until_us)
        and _is_upper(other.seq_until, filter.seq_until)
        and all(part in asked for part in known)
        and all(part in known or is_sql_expressible(part) for part in asked)
    )


def _is_lower(bound: int | None, other: int | None) -> bool:
    return bound is None or (other is not None and bound <= other)


def _is_upper(bound: int | None, other: int | None) -> bool:
    return bound is None or (other is not None and bound >= other)
