"""From a filter of tool calls to SQL, over their rows and over their rollups."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from storage.periods import HOUR_US
from storage.postgres.connection import Connection
from storage.postgres.dictionary import find
from storage.postgres.state import State
from storage.postgres.text import escape
from storage.sql import MAX_INT, Texts, is_storable
from storage.tools import ToolFilter

_STATUSES: Final = ("success", "error")
_SCOPED: Final = (("project", "projects"), ("container", "containers"), ("client", "clients"))
_LINKED: Final = (
    "(llm_request_id = ANY({0}::text[]) AND hashtextextended(llm_request_id, 0) = "
    "ANY(ARRAY(SELECT hashtextextended(wanted, 0) FROM unnest({0}::text[]) AS wanted)))"
)


class Where(NamedTuple):
    """A clause without the word WHERE, never empty, and its parameters."""

    text: str
    parameters: tuple[Any, ...]


async def rollup_where(connection: Connection, filter: ToolFilter, state: State) -> Where | None:
    """Build the clause of a filter that `has_only_rollup_dimensions`; None when nothing can match."""
    clause = _Clause()
    await clause.dimensions(connection, filter)
    clause.add("hour >= {}", -(-state.purge_floor_us // HOUR_US))
    return clause.finish()


async def row_where(connection: Connection, filter: ToolFilter, state: State) -> Where | None:
    """Build the clause of a filter over the calls; None when nothing can match."""
    clause = _Clause()
    await clause.dimensions(connection, filter)
    clause.between("started_at_us", max(filter.since_us or 0, state.purge_floor_us), filter.until_us)
    if filter.min_latency_us is not None or filter.max_latency_us is not None:
        clause.between("latency_us", max(filter.min_latency_us or 0, 0), filter.max_latency_us)
    if filter.llm_request_ids:
        clause.add(_LINKED, [escape(value) for value in filter.llm_request_ids if is_storable(value)])
    if filter.content:
        folded = filter.content.casefold()
        clause.is_impossible |= not is_storable(folded)
        clause.add("started_at_us >= {}", state.body_floor_us)
        clause.add("strpos(search, {}) > 0", escape(folded))
    return clause.finish()


class _Clause:
    """Conditions that must all hold, gathered one by one."""

    def __init__(self) -> None:
        self.is_impossible = False
        self._conditions: list[str] = []
        self._parameters: list[Any] = []

    def finish(self) -> Where | None:
        return None if self.is_impossible else Where(" AND ".join(self._conditions), tuple(self._parameters))

    def add(self, condition: str, parameter: int | str | Sequence[object]) -> None:
        self._parameters.append(parameter)
        self._conditions.append(condition.format(f"${len(self._parameters)}"))

    async def dimensions(self, connection: Connection, filter: ToolFilter) -> None:
        wanted: list[tuple[str, tuple[str, ...]]] = [(column, getattr(filter.scope, name)) for column, name in _SCOPED]
        wanted += [("tool_name", filter.tool_names), ("server_label", filter.server_labels), ("key_id", filter.key_ids)]
        texts: Texts = {}
        for column, values in wanted:
            if values:
                texts[column] = texts.get(column, ()) + tuple(value for value in values if is_storable(value))
        ids = await find(connection, texts)
        for column, values in wanted:
            if values:
                self.among(column, [ids[column][value] for value in values if value in ids[column]])
        if filter.statuses:
            self.among("status", [code for code, word in enumerate(_STATUSES) if word in filter.statuses])

    def among(self, column: str, values: list[int]) -> None:
        self.is_impossible |= not values
        self.add(f"{column} = ANY({{}}::bigint[])", values)

    def between(self, column: str, least: int | None, most: int | None) -> None:
        if least is not None:
            self.add(f"{column} >= {{}}", min(least, MAX_INT))
            self.is_impossible |= least > MAX_INT
        if most is not None and most < MAX_INT:
            self.add(f"{column} <= {{}}", max(most, -MAX_INT))
