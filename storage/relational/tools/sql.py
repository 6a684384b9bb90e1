"""From a filter of tool calls to SQL, over their rows and over their rollups: as
`storage.relational.search.condition` does for records. Pure.

Invariant: every value is a bound parameter; a value without an id, or one that no store can hold, matches nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from storage.relational.sql import MAX_INT, Dialect, Ids, Texts, Where
from storage.relational.time_ranges import HOUR_US
from storage.relational.tools.rows import STATUSES
from storage.search.patterns import is_storable
from storage.tools import ToolFilter, spellings


def texts(filter: ToolFilter) -> Texts:
    wanted: Texts = {}
    for column, values in _dimensions(filter):
        if values:
            wanted[column] = wanted.get(column, ()) + tuple(value for value in values if is_storable(value))
    return wanted


def rollup_conditions(filter: ToolFilter, ids: Ids, dialect: Dialect, purge_floor_us: int) -> Where | None:
    """Build the clause of a filter that `has_only_rollup_dimensions`; None when nothing can match."""
    clause = _clause(filter, ids, replace(dialect, committed=""))
    clause.between("hour", -(-purge_floor_us // HOUR_US), None)
    return clause.finish()


def conditions(filter: ToolFilter, ids: Ids, dialect: Dialect, purge_floor_us: int, body_floor_us: int) -> Where | None:
    """Build the clause of a filter over the calls; None when nothing can match.

    Ids are by column and text, of every value of `texts(filter)` that the store has. Calls that started before the
    floor of rows are not shown, nor is the content of those that started before that of bodies.
    """
    clause = _clause(filter, ids, dialect)
    clause.between("started_at_us", max(filter.since_us or 0, purge_floor_us), filter.until_us)
    if filter.min_latency_us is not None or filter.max_latency_us is not None:
        clause.between("latency_us", max(filter.min_latency_us or 0, 0), filter.max_latency_us)
    if filter.llm_request_ids:
        clause.either(dialect.tool_request, [value for value in filter.llm_request_ids if is_storable(value)])
    if filter.content:
        clause.between("started_at_us", body_floor_us, None)
        clause.either(dialect.tool_text, spellings(filter.content) if is_storable(filter.content) else [])
    if filter.seq_until is not None:
        clause.between("record_seq", None, max(filter.seq_until, 0))
    return clause.finish()


def _clause(filter: ToolFilter, ids: Ids, dialect: Dialect) -> "_Clause":
    """Begin a clause with what rows and rollups both know."""
    clause = _Clause(dialect)
    for column, values in _dimensions(filter):
        if values:
            clause.among(column, [ids[column][value] for value in values if value in ids[column]])
    if filter.statuses:
        clause.among("status", [code for code, word in enumerate(STATUSES) if word in filter.statuses])
    return clause


def _dimensions(filter: ToolFilter) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return (
        ("project", filter.scope.projects),
        ("container", filter.scope.containers),
        ("client", filter.scope.clients),
        ("tool_name", filter.tool_names),
        ("server_label", filter.server_labels),
        ("key_id", filter.key_ids),
    )


class _Clause:
    """Conditions that must all hold, gathered one by one."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._conditions: list[str] = []
        self._parameters: list[Any] = []
        self._impossible = False

    def finish(self) -> Where | None:
        if self._impossible:
            return None
        return Where(self._dialect.of_commits(" AND ".join(self._conditions) or "1 = 1"), tuple(self._parameters))

    def among(self, column: str, values: Sequence[Any]) -> None:
        self._impossible |= not values
        marks = self._marks(values)
        self._conditions.append(f"{column} = {marks}" if len(values) == 1 else f"{column} IN ({marks})")

    def either(self, condition: str, values: Sequence[object]) -> None:
        """Want the condition to hold for one of some values."""
        self._impossible |= not values
        either = [condition.format(self._marks([value])) for value in values]
        self._conditions.append(either[0] if len(either) == 1 else f"({' OR '.join(either)})")

    def between(self, column: str, least: int | None, most: int | None) -> None:
        if least is not None and least > -MAX_INT:
            self._impossible |= least > MAX_INT
            self._conditions.append(f"{column} >= {self._marks([least])}")
        if most is not None and most < MAX_INT:
            self._impossible |= most < -MAX_INT
            self._conditions.append(f"{column} <= {self._marks([most])}")

    def _marks(self, values: Sequence[object]) -> str:
        first = len(self._parameters) + 1
        self._parameters.extend(values)
        return ", ".join(
            (self._dialect.number if isinstance(value, int) else "{}").format(self._dialect.placeholder(first + place))
            for place, value in enumerate(values)
        )
