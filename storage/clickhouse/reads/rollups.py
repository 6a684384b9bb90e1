"""Rollups as a query: what other stores keep in tables, a server that stores columns adds up from the rows.

Strategy: the rows of a range of time are grouped by the columns that are asked for and, where latencies are, by their
buckets; so what the shared reads add up is some thousand groups, whose histograms have one bucket each. Of the inner
names none is that of a column, because an alias stands for itself in every other expression of its query.

Invariant: the rows are those that rollups of the same table would have, some of them apart.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from collections.abc import Mapping, Sequence
from typing import Final

from storage.clickhouse.reads.derived import LATENCIES, bucket_column
from storage.relational import usage
from storage.relational.rollup_sql import USAGE_TABLE
from storage.relational.rollups import HISTOGRAMS, LEAST, MAX_COST_USD, MAX_TOKENS, MOST, NANO
from storage.relational.time_ranges import DAY_HOURS, HOUR_US

_NONE: Final = -1
"""The bucket of what has no latency, such as an event."""
_OWN: Final = "own_"
_TOOL_COLUMNS: Final = "project, container, client, server_label, tool_name, key_id, key_name, status, cost_usd"


def _tokens(column: str) -> str:
    return f"sum(least(ifNull({column}, 0), toInt64({MAX_TOKENS})))"


def _bucket(column: str) -> str:
    return f"if(kind = 0 AND ifNull({column}, -1) >= 0, {bucket_column(column)}, toInt16({_NONE}))"


_COST: Final = (
    f"sum(if(ifNull(cost_usd, 0) > {MAX_COST_USD}, toInt64({MAX_COST_USD * NANO}), "
    f"toInt64(round(ifNull(cost_usd, 0) * {NANO}))))"
)
_KEYS: Final = {
    "hour": "started_hour",
    "day": f"intDiv(started_hour, {DAY_HOURS})",
    "status": "ifNull(status, 0)",
    "status_class": "status_digit",
}
"""Columns of rollups that records do not have in the same form."""
_HAS_TOKENS: Final = " OR ".join(f"{name} IS NOT NULL" for name in usage.TOKENS)
_MEASURES: Final[dict[str, str]] = {
    "exchanges": "toInt64(countIf(kind = 0))",
    "events": "toInt64(countIf(kind = 1))",
    "request_bytes": "sum(request_bytes)",
    "response_bytes": "sum(response_bytes)",
    **{name: _tokens(name) for name in usage.TOKENS},
    "cost_nano_usd": _COST,
    "calls": "toInt64(count())",
    "counted": f"toInt64(countIf({_HAS_TOKENS}))",
    "priced": "toInt64(countIf(cost_usd IS NOT NULL))",
    **{name: f"min(if(kind = 0, {column}, NULL))" for name, column in zip(LEAST, LATENCIES, strict=True)},
    **{name: f"max(if(kind = 0, {column}, NULL))" for name, column in zip(MOST, LATENCIES, strict=True)},
}
HISTOGRAM_SUM: Final = "sumMap([{0}_bucket], [exchanges])"
"""The sum of a column of histograms: of each group all exchanges are in one bucket."""


def to_counts(sums: tuple[Sequence[int], Sequence[int]] | None) -> Mapping[int, int]:
    """Read counts by bucket of that sum."""
    return {} if sums is None else {bucket: count for bucket, count in zip(*sums, strict=True) if bucket != _NONE}


def rollups(table: str, columns: Sequence[str], where: str) -> str:
    """Write what stands for a table of rollups and the condition on it.

    Args:
        table: Its name.
        columns: What is read of it.
        where: The condition on records.
    """
    keys = {name: _KEYS.get(name, name) for name in columns if name not in _MEASURES and name not in HISTOGRAMS}
    for name, column in zip(HISTOGRAMS, LATENCIES, strict=True):
        if name in columns:
            keys[f"{name}_bucket"] = _bucket(column)
    measures = {name: _MEASURES[name] for name in columns if name in _MEASURES}
    inner = ", ".join(f"{text} AS {_OWN}{name}" for name, text in (keys | measures).items())
    outer = ", ".join(f"{_OWN}{name} AS {name}" for name in keys | measures)
    if table == USAGE_TABLE:
        where = f"{where} AND (provider <> 0 OR model <> 0 OR resolved_model <> 0)"
    groups = f" GROUP BY {', '.join(f'{_OWN}{name}' for name in keys)}" if keys else ""
    return f"(SELECT {outer} FROM (SELECT {inner} FROM records WHERE {where}{groups}) AS grouped) AS rollup"


def tool_rollups(committed: str) -> str:
    """Write what stands for the table of rollups of tool calls, given the condition on rows that are committed."""
    return (
        f"(SELECT hour, {_TOOL_COLUMNS}, calls, timed, added_us AS latency_us, id FROM "
        f"(SELECT intDiv(started_at_us, {HOUR_US}) AS hour, {_TOOL_COLUMNS}, toInt64(1) AS calls, "
        "toInt64(latency_us >= 0) AS timed, toFloat64(greatest(latency_us, 0)) AS added_us, id "
        f"FROM tool_calls WHERE {committed}) AS single) AS rollup"
    )
