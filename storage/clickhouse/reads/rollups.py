"""Rollups as a query: rows are grouped by the requested columns and, for latencies, by their
buckets.

Strategy: shared reads then sum up a few thousand groups, whose histograms have one bucket each.
That takes half the server's CPU of a map for every row. Inner names differ from column names,
because an alias replaces the column in every other expression of its query.

Invariant: the rows have the sums of a rollup table, some of them split over several rows.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from storage.aggregates import BOUNDS_US, FIRST_STEP
from storage.relational import usage
from storage.relational.rollup_sql import USAGE_TABLE
from storage.relational.rollups import HISTOGRAMS, LEAST, MAX_COST_USD, MAX_TOKENS, MOST, NANO
from storage.relational.sql import is_connection
from storage.relational.time_ranges import DAY_HOURS, HOUR_US

_LAST_START: Final = len(BOUNDS_US) - 3
"""Index of the last bound with two more after it: three are compared at once."""


def bucket_of(column: str) -> str:
    """Return the expression for the bucket of a column in µs: its approximate place by the
    logarithm, then comparisons of three bounds there.

    The result is exact even if the server's logarithm is slightly off. The three bounds start one
    below the approximate place, so the first is low enough and the last high enough.
    """
    value = f"ifNull({column}, 0)"
    start = f"floor(8 * log2(greatest({value}, 1) / 1000000.)) - {FIRST_STEP} - 1"
    first = f"toInt32(least(greatest({start}, 0), {_LAST_START}))"
    bounds = f"[{', '.join(map(str, BOUNDS_US))}]"
    compared = " + ".join(f"({bounds}[{first} + {place}] < {value})" for place in (1, 2, 3))
    return f"toInt16({first} + {compared})"


STATUS_CLASS: Final = "intDiv(ifNull(status, 0), 100)"
"""Status class as in rollups: 0 without a status."""
HISTOGRAM_SUM: Final = "sumMap([{0}], [exchanges])"
"""Sum of a histogram column; each row has all its exchanges in one bucket."""
IS_CONNECTION: Final = is_connection("'CONNECT'")
_LATENCIES: Final = (f"if({IS_CONNECTION}, NULL, duration_us)", "first_byte_us")
_NONE: Final = -1
"""Bucket of a record without a latency: an event, a WebSocket, a tunnel."""
_OWN: Final = "own_"
_TOOL_COLUMNS: Final = (
    "project, container, client, server_label, tool_name, key_id, key_name, status, weight, "
    "cost_usd"
)
_KEYS: Final = {
    "hour": f"intDiv(started_at_us, {HOUR_US})",
    "day": f"intDiv(started_at_us, {HOUR_US * DAY_HOURS})",
    "status": "ifNull(status, 0)",
    "status_class": STATUS_CLASS,
    **{
        name: f"if(kind = 0 AND {column} IS NOT NULL, {bucket_of(column)}, toInt16({_NONE}))"
        for name, column in zip(HISTOGRAMS, _LATENCIES, strict=True)
    },
}
"""Columns of rollups that records have in another form."""
_HAS_TOKENS: Final = " OR ".join(f"{name} IS NOT NULL" for name in usage.TOKENS)
_MEASURES: Final[dict[str, str]] = {
    "exchanges": "toInt64(countIf(kind = 0))",
    "events": "toInt64(countIf(kind = 1))",
    "request_bytes": "sum(request_bytes)",
    "response_bytes": "sum(response_bytes)",
    **{name: f"sum(least(ifNull({name}, 0), toInt64({MAX_TOKENS})))" for name in usage.TOKENS},
    "cost_nano_usd": (
        f"sum(if(ifNull(cost_usd, 0) > {MAX_COST_USD}, toInt64({MAX_COST_USD * NANO}), "
        f"toInt64(round(ifNull(cost_usd, 0) * {NANO}))))"
    ),
    "calls": "toInt64(count())",
    "counted": f"toInt64(countIf({_HAS_TOKENS}))",
    "priced": "toInt64(countIf(cost_usd IS NOT NULL))",
    **{
        name: f"min(if(kind = 0, {column}, NULL))"
        for name, column in zip(LEAST, _LATENCIES, strict=True)
    },
    **{
        name: f"max(if(kind = 0, {column}, NULL))"
        for name, column in zip(MOST, _LATENCIES, strict=True)
    },
}
_IS_CALL: Final = "(provider <> '' OR model <> '' OR resolved_model <> '')"

Hours = tuple[int | None, int | None]
"""Hours since the epoch, half open; None is unbounded."""


def to_counts(sums: tuple[Sequence[int], Sequence[int]] | None) -> Mapping[int, int]:
    """Return the counts by bucket from a `HISTOGRAM_SUM`."""
    if sums is None:
        return {}
    return {bucket: count for bucket, count in zip(*sums, strict=True) if bucket != _NONE}


def rollups(shown: str) -> Callable[[str, Sequence[str], str, Hours], str]:
    """Return a function that writes the query for a table of rollups, given the condition on
    visible rows.
    """

    def write(table: str, columns: Sequence[str], where: str, hours: Hours) -> str:
        if table == USAGE_TABLE:
            is_of_calls = f" AND {_IS_CALL}"
        else:
            is_of_calls = ""
        rows = f"records WHERE {where} AND {shown}{is_of_calls}{_within(hours)}"
        read = dict.fromkeys((*columns, "exchanges"))
        inner = ", ".join(
            f"{_KEYS.get(name, _MEASURES.get(name, name))} AS {_OWN}{name}" for name in read
        )
        keys = ", ".join(f"{_OWN}{name}" for name in read if name not in _MEASURES)
        grouped = f"SELECT {inner} FROM {rows}{f' GROUP BY {keys}' if keys else ''}"
        return (
            f"(SELECT {', '.join(f'{_OWN}{name} AS {name}' for name in read)} "
            f"FROM ({grouped}) AS grouped) AS rollup"
        )

    return write


def tool_rollups(purged_through_seq: int) -> str:
    """Return the query for the table of rollups of tool calls."""
    return (
        f"(SELECT hour, {_TOOL_COLUMNS}, calls, timed, added_us AS latency_us, record_seq FROM "
        f"(SELECT intDiv(started_at_us, {HOUR_US}) AS hour, {_TOOL_COLUMNS}, toInt64(1) AS calls, "
        "toInt64(latency_us >= 0) AS timed, toFloat64(greatest(latency_us, 0)) AS added_us, "
        "record_seq "
        f"FROM tool_calls WHERE record_seq > {purged_through_seq}) AS single) AS rollup"
    )


def _within(hours: Hours) -> str:
    signs = zip((">=", "<"), hours, strict=True)
    return "".join(
        f" AND started_at_us {sign} {bound * HOUR_US}" for sign, bound in signs if bound is not None
    )
