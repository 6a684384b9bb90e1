"""From a filter of tool calls to SQL, over their rows and over their rollups: as `storage.relational.sql` does for
records. Pure.

Invariant: every value is a bound parameter; a value without an id, or one that no store can hold, matches nothing.
"""

from dataclasses import replace

from storage.relational.sql import Clause, Dialect, Ids, Texts, Where
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


def _clause(filter: ToolFilter, ids: Ids, dialect: Dialect) -> Clause:
    """Begin a clause with what rows and rollups both know."""
    clause = Clause(dialect)
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
