"""From a filter of tool calls to SQL, over their rows and over their rollups: as `storage.relational.sql` does for
records. Pure.

Invariant: every value is a bound parameter; a value without an id, or one that no store can hold, matches nothing.
"""

from collections.abc import Mapping, Sequence

from storage.relational.sql import MAX_INT, Dialect, Texts, Where, is_storable
from storage.relational.time_ranges import HOUR_US
from storage.relational.tools.rows import STATUSES
from storage.tools import ToolFilter, spellings


def texts(filter: ToolFilter) -> Texts:
    wanted: Texts = {}
    for column, values in _dimensions(filter):
        if values:
            wanted[column] = wanted.get(column, ()) + tuple(value for value in values if is_storable(value))
    return wanted


def rollup_conditions(
    filter: ToolFilter, ids: Mapping[str, Mapping[str, int]], dialect: Dialect, purge_floor_us: int
) -> Where | None:
    """Build the clause of a filter that `has_only_rollup_dimensions`; None when nothing can match."""
    clause = _Clause(dialect)
    clause.dimensions(filter, ids)
    clause.number("hour >= {}", -(-purge_floor_us // HOUR_US))
    return clause.finish()


def conditions(
    filter: ToolFilter, ids: Mapping[str, Mapping[str, int]], dialect: Dialect, purge_floor_us: int, body_floor_us: int
) -> Where | None:
    """Build the clause of a filter over the calls; None when nothing can match.

    Ids are by column and text, of every value of `texts(filter)` that the store has. Calls that started before the
    floor of rows are not shown, nor is the content of those that started before that of bodies.
    """
    clause = _Clause(dialect)
    clause.dimensions(filter, ids)
    clause.commits()
    clause.between("started_at_us", max(filter.since_us or 0, purge_floor_us), filter.until_us)
    if filter.min_latency_us is not None or filter.max_latency_us is not None:
        clause.between("latency_us", max(filter.min_latency_us or 0, 0), filter.max_latency_us)
    if filter.llm_request_ids:
        clause.linked([value for value in filter.llm_request_ids if is_storable(value)])
    if filter.content:
        clause.number("started_at_us >= {}", body_floor_us)
        clause.content(filter.content)
    if filter.seq_until is not None:
        clause.number("record_seq <= {}", min(max(filter.seq_until, 0), MAX_INT))
    return clause.finish()


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
        self._is_impossible = False
        self._conditions: list[str] = []
        self._parameters: list[int | str] = []

    def finish(self) -> Where | None:
        return None if self._is_impossible else Where(" AND ".join(self._conditions), tuple(self._parameters))

    def commits(self) -> None:
        if self._dialect.committed:
            self._conditions.append(self._dialect.committed)

    def dimensions(self, filter: ToolFilter, ids: Mapping[str, Mapping[str, int]]) -> None:
        for column, values in _dimensions(filter):
            if values:
                self._among(column, [ids[column][value] for value in values if value in ids[column]])
        if filter.statuses:
            self._among("status", [code for code, word in enumerate(STATUSES) if word in filter.statuses])

    def between(self, column: str, least: int, most: int | None) -> None:
        self.number(f"{column} >= {{}}", min(least, MAX_INT))
        self._is_impossible |= least > MAX_INT
        if most is not None and most < MAX_INT:
            self.number(f"{column} <= {{}}", max(most, -MAX_INT))

    def linked(self, ids: Sequence[str]) -> None:
        self._is_impossible |= not ids
        conditions = (self._dialect.tool_request.format(self._mark(value)) for value in ids)
        self._conditions.append(f"({' OR '.join(conditions)})")

    def content(self, text: str) -> None:
        if not is_storable(text):
            self._is_impossible = True
            return
        conditions = (self._dialect.tool_text.format(self._mark(spelling)) for spelling in spellings(text))
        self._conditions.append(f"({' OR '.join(conditions)})")

    def number(self, condition: str, value: int) -> None:
        self._conditions.append(condition.format(self._number(value)))

    def _among(self, column: str, values: Sequence[int]) -> None:
        self._is_impossible |= not values
        self._conditions.append(f"{column} IN ({', '.join(map(self._number, values))})")

    def _number(self, value: int) -> str:
        return self._dialect.number.format(self._mark(value))

    def _mark(self, value: int | str) -> str:
        self._parameters.append(value)
        return self._dialect.placeholder(len(self._parameters))
