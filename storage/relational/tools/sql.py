"""Translation of tool call filters to SQL, for rows and for rollups.

Invariant: every value is a bound parameter; a value without an id, or one that no store can have,
matches nothing.
"""

from dataclasses import replace

from storage.relational.search.condition import Writer
from storage.relational.sql import Dialect, Ids, Texts, Where
from storage.relational.time_ranges import HOUR_US
from storage.relational.tools.rows import STATUSES
from storage.search.patterns import is_storable
from storage.tools import ToolFilter, spellings


def texts(filter: ToolFilter) -> Texts:
    wanted: Texts = {}
    for column, values in _dimensions(filter):
        if values:
            wanted[column] = wanted.get(column, ()) + tuple(
                value for value in values if is_storable(value)
            )
    return wanted


def rollup_conditions(
    filter: ToolFilter, ids: Ids, dialect: Dialect, purge_floor_us: int
) -> Where | None:
    """Build the clause of a filter that `has_only_rollup_dimensions`; None if nothing can match."""
    writer = Writer(ids, replace(dialect, committed=""), 1)
    return writer.where(
        [*_common(writer, filter, ids), writer.bounds("hour", -(-purge_floor_us // HOUR_US), None)]
    )


def conditions(
    filter: ToolFilter, ids: Ids, dialect: Dialect, purge_floor_us: int, body_floor_us: int
) -> Where | None:
    """Build the clause of a filter over the calls; None if nothing can match.

    `ids` has the id, by column and text, of every value of `texts(filter)` that the store has. The
    clause leaves out calls that started before the floor of rows, and does not match the content of
    calls that started before the floor of bodies.
    """
    writer = Writer(ids, dialect, 1)
    parts = _common(writer, filter, ids)
    parts.append(
        writer.bounds("started_at_us", max(filter.since_us or 0, purge_floor_us), filter.until_us)
    )

    if filter.min_latency_us is not None or filter.max_latency_us is not None:
        parts.append(
            writer.bounds("latency_us", max(filter.min_latency_us or 0, 0), filter.max_latency_us)
        )

    if filter.llm_request_ids:
        parts.append(
            writer.either(
                dialect.tool_request, [each for each in filter.llm_request_ids if is_storable(each)]
            )
        )

    if filter.content:
        parts.append(writer.bounds("started_at_us", body_floor_us, None))
        parts.append(
            writer.either(
                dialect.tool_text, spellings(filter.content) if is_storable(filter.content) else []
            )
        )

    if filter.seq_until is not None:
        parts.append(writer.bounds("record_seq", None, max(filter.seq_until, 0)))
    return writer.where(parts)


def _common(writer: Writer, filter: ToolFilter, ids: Ids) -> list[str]:
    """Write the conditions on columns of both rows and rollups."""
    parts = [
        writer.among(column, [ids[column][value] for value in values if value in ids[column]])
        for column, values in _dimensions(filter)
        if values
    ]
    if filter.statuses:
        parts.append(
            writer.among(
                "status", [code for code, word in enumerate(STATUSES) if word in filter.statuses]
            )
        )

    return parts


def _dimensions(filter: ToolFilter) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return (
        ("project", filter.scope.projects),
        ("container", filter.scope.containers),
        ("client", filter.scope.clients),
        ("tool_name", filter.tool_names),
        ("server_label", filter.server_labels),
        ("key_id", filter.key_ids),
    )
