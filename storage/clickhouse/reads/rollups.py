"""Rollups as a query: sums of grids, where there are some (`storage.clickhouse.upkeep.grids`), and of the other rows.

Strategy: rows without sums, the newest as a rule, are grouped by the columns that are asked for and, where latencies
are, by their buckets; so what the shared reads add up is some thousand groups, whose histograms have one bucket each.
Tables of sums have columns called as those of records, so that one condition fits both. Of the inner names none is that
of a column, because an alias stands for itself in every other expression of its query.

Invariant: the rows are those that rollups of the same table would have, some of them apart.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from storage.clickhouse.reads.derived import LATENCIES, bucket_column
from storage.clickhouse.upkeep.grids import Covered
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
HISTOGRAM_COLUMNS: Final = {
    column: type for name in HISTOGRAMS for column, type in ((f"{name}_buckets", "Int16"), (f"{name}_counts", "Int64"))
}
"""Columns of histograms, arrays of the same length → the type of their values."""
HISTOGRAM_SUM: Final = "sumMap({0}_buckets, {0}_counts)"
"""The sum of a column of histograms."""
_IS_CALL: Final = "(provider <> 0 OR model <> 0 OR resolved_model <> 0)"
_PERIOD: Final = "_daily"
"""Ends the name of a table by day; there is none here."""

Hours = tuple[int | None, int | None]
"""Since the epoch, half open; None at an end is no bound."""


def to_counts(sums: tuple[Sequence[int], Sequence[int]] | None) -> Mapping[int, int]:
    """Read counts by bucket of that sum."""
    return {} if sums is None else {bucket: count for bucket, count in zip(*sums, strict=True) if bucket != _NONE}


def rollups(committed: str, sums: Callable[[], Covered]) -> Callable[[str, Sequence[str], str, Hours], str]:
    """Make what writes the query that stands for a table of rollups and a condition on it.

    Args:
        committed: The condition on rows that are committed; empty: none.
        sums: Tells which of them have sums.
    """

    def write(table: str, columns: Sequence[str], where: str, hours: Hours) -> str:
        table, covered = table.removesuffix(_PERIOD), sums()
        gaps = "".join(f" AND NOT seq BETWEEN {run.first} AND {run.last}" for run in covered.runs)
        of_rows = f"{where}{f' AND {committed}' if committed else ''}{gaps}{_within('started_at_us', hours, HOUR_US)}"
        queries = [_added_up(table, columns, of_rows)]
        if covered.grids:
            made = ", ".join(map(str, covered.made))
            of_sums = f"{where} AND made IN ({made}){_within('started_hour', hours, 1)}"
            queries.append(f"SELECT {', '.join(_stored(columns))} FROM {table} WHERE {of_sums}")
        return f"({' UNION ALL '.join(queries)}) AS rollup"

    return write


def sums_of(table: str, keys: Sequence[str], measures: Sequence[str], where: str, *, has_histograms: bool) -> str:
    """Write the query of the sums of rows, in the order of `hour`, keys, measures and `HISTOGRAM_COLUMNS`."""
    grouped = {name: _KEYS.get(name, name) for name in ("hour", *keys)}
    read = grouped | {name: _MEASURES[name] for name in measures}
    outer = [f"{_OWN}{name}" for name in read]
    if has_histograms:
        for name, column in zip(HISTOGRAMS, LATENCIES, strict=True):
            read[name] = f"sumMap([{_bucket(column)}], [toInt64(kind = 0)])"
            outer += [f"tupleElement({_OWN}{name}, {place})" for place in (1, 2)]
    groups = ", ".join(f"{_OWN}{name}" for name in grouped)
    return f"SELECT {', '.join(outer)} FROM ({_selected(table, read, where)} GROUP BY {groups}) AS grouped"


def column_of(key: str) -> str:
    """Name the column of sums that holds one of the columns of a key of rollups, as records call it."""
    return "status_digit" if key == "status_class" else key


def _added_up(table: str, columns: Sequence[str], where: str) -> str:
    keys = {name: _KEYS.get(name, name) for name in columns if name not in _MEASURES and name not in HISTOGRAMS}
    for name, column in zip(HISTOGRAMS, LATENCIES, strict=True):
        if name in columns:
            keys[f"{name}_bucket"] = _bucket(column)
    read = keys | {name: _MEASURES[name] for name in columns if name in _MEASURES}
    groups = f" GROUP BY {', '.join(f'{_OWN}{name}' for name in keys)}" if keys else ""
    written: list[str] = []
    for name in columns:
        # Of each group all exchanges are in one bucket.
        arrays = (f"[{_OWN}{name}_bucket] AS {name}_buckets", f"[{_OWN}exchanges] AS {name}_counts")
        written += arrays if name in HISTOGRAMS else (f"{_OWN}{name} AS {name}",)
    return f"SELECT {', '.join(written)} FROM ({_selected(table, read, where)}{groups}) AS grouped"


def _selected(table: str, read: Mapping[str, str], where: str) -> str:
    inner = ", ".join(f"{text} AS {_OWN}{name}" for name, text in read.items())
    return f"SELECT {inner} FROM records WHERE {where}{f' AND {_IS_CALL}' if table == USAGE_TABLE else ''}"


def _stored(columns: Iterable[str]) -> Iterable[str]:
    for name in columns:
        if name in HISTOGRAMS:
            yield f"{name}_buckets"
            yield f"{name}_counts"
        else:
            yield f"{_KEYS[name]} AS {name}" if name in _KEYS and _KEYS[name] != name else name


def _within(column: str, hours: Hours, unit: int) -> str:
    signs = zip((">=", "<"), hours, strict=True)
    return "".join(f" AND {column} {sign} {bound * unit}" for sign, bound in signs if bound is not None)


def tool_rollups(committed: str) -> str:
    """Write what stands for the table of rollups of tool calls, given the condition on rows that are committed."""
    return (
        f"(SELECT hour, {_TOOL_COLUMNS}, calls, timed, added_us AS latency_us, id FROM "
        f"(SELECT intDiv(started_at_us, {HOUR_US}) AS hour, {_TOOL_COLUMNS}, toInt64(1) AS calls, "
        "toInt64(latency_us >= 0) AS timed, toFloat64(greatest(latency_us, 0)) AS added_us, id "
        f"FROM tool_calls WHERE {committed}) AS single) AS rollup"
    )
