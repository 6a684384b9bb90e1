"""The SQL dialect of ClickHouse."""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from collections.abc import Callable, Sequence
from typing import Any, Final

from storage.clickhouse.codec import RECORD_COLUMNS, REPEATED, to_bytes
from storage.clickhouse.reads.rollups import (
    HISTOGRAM_SUM,
    IS_CONNECTION,
    STATUS_CLASS,
    bucket_of,
    rollups,
    to_counts,
    tool_rollups,
)
from storage.clickhouse.writes.rows import CALL
from storage.relational.sql import Dialect

_NO_SEQ: Final = -1
_SCAN_ROWS: Final = 200_000
"""Rows of the first slice; they take about 5 ms, as much as a statement without rows."""
_PATIENCE: Final = 5.0
"""Time of a slice relative to other stores. Each statement alone takes 10 to 20 ms, so with less
time slices of a search for rare rows would not widen.
"""


def like(column: str, parts: Sequence[str], add: Callable[[Any], str]) -> str:
    """Return the condition that a text column matches lower-case parts; `lower` changes only ASCII."""
    if column in REPEATED or column == "tool_name":
        column = f"if(startsWith({column}, '\\x00'), substring({column}, 2), {column})"
    if len(parts) == 1:
        return f"lower({column}) = {add(parts[0])}"

    pattern = "%".join(
        part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for part in parts
    )
    return f"lower({column}) LIKE {add(pattern)}"


def dialect(shown: str, purged_through_seq: int) -> Dialect:
    """Return the dialect for one state of the store, given the condition on visible rows."""
    return Dialect(
        placeholder=lambda number: f"${number}",
        none="''",
        tool_names=f"SELECT DISTINCT name AS tool_name FROM records WHERE kind = {CALL}",
        trace_id="trace_id = {}",
        tool=f"seq IN (SELECT seq FROM records WHERE kind = {CALL} AND name IN ({{}}))",
        combination=lambda column, _, marks: (
            f"({' OR '.join(f'position({column}, {mark}) > 0' for mark in marks)})"
        ),
        like=like,
        in_network=lambda first, last, length: (
            f"(length(client_ip) = {length} AND client_ip BETWEEN {first} AND {last})"
        ),
        # 1 stands for the record's own id (storage/clickhouse/codec.py).
        text_columns={"request_id": "if(request_id = '\\x01', UUIDNumToString(id), request_id)"},
        sum="(toDecimal128(coalesce({}, 0), 0) + toDecimal128(coalesce({}, 0), 0))",
        real="toFloat64({})",
        negated="(ifNull({}, 0) = 0)",
        among="{} IN {}",
        # Old servers have no window functions.
        first_of_each=(
            "SELECT seq FROM (SELECT {column}, seq FROM {rows} ORDER BY {column}, seq "
            "LIMIT {limit} BY {column})"
        ),
        number_list=lambda numbers: numbers or [_NO_SEQ],
        of_keys="seq IN {}",
        divided=lambda number, by: f"intDiv({number}, {by})",
        unindexed="{}",
        bucket=bucket_of,
        is_connection=IS_CONNECTION,
        tool_text="(length({0}) = 0 OR position(search, {0}) > 0)",
        tool_request="llm_request_id = {}",
        record_columns=", ".join(RECORD_COLUMNS),
        committed=shown,
        # Rows are found by a few columns, and only matching ones are read whole.
        page=lambda where, order, limit: (
            f"WHERE seq IN (SELECT seq FROM records WHERE {where} {order} {limit}) "
            f"AND {shown} {order}"
        ),
        scan_rows=_SCAN_ROWS,
        patience=_PATIENCE,
        call_order=("record_seq", "place"),
        to_bytes=to_bytes,
        histograms=HISTOGRAM_SUM,
        to_counts=to_counts,
        rollups=rollups(shown),
        rollup_class=STATUS_CLASS,
        tool_rollups=tool_rollups(purged_through_seq),
        newest_tool="max(record_seq)",
    )
