"""How SQL is written for ClickHouse, from version 18 on."""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from collections.abc import Callable, Sequence
from typing import Any, Final

from storage.clickhouse.reads.derived import bucket_column
from storage.clickhouse.reads.rollups import HISTOGRAM_SUM, rollups, to_counts, tool_rollups
from storage.clickhouse.upkeep.grids import Covered
from storage.clickhouse.writes.calls import PLACE_BITS
from storage.relational.sql import CALL_KINDS, Dialect
from storage.relational.writes.packing import COLUMNS

_NO_SEQ: Final = -1
_SCAN_ROWS: Final = 200_000
"""Some 5 ms, as much as a statement without any."""
_PATIENCE: Final = 5.0
"""A statement takes 10 to 20 ms for itself: slices that look for what is rare would not widen before they are over."""


def like(column: str, parts: Sequence[str], add: Callable[[Any], str]) -> str:
    """Write the condition that a column of text matches lower-case parts; `lower` leaves all but ASCII alone."""
    if len(parts) == 1:
        return f"lower({column}) = {add(parts[0])}"
    pattern = "%".join(part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for part in parts)
    return f"lower({column}) LIKE {add(pattern)}"


def dialect(committed: str = "", sums: Callable[[], Covered] = Covered) -> Dialect:
    """Make the dialect of one state of the store, whose rows fulfil a condition, and some of which have sums."""
    also = f" AND {committed}" if committed else ""
    return Dialect(
        placeholder=lambda number: f"${number}",
        # Of an empty text version 18 finds none.
        path_contains="(path IS NOT NULL AND (length({0}) = 0 OR position(lower(path), {0}) > 0))",
        trace_id="trace_id = {}",
        tool=f"seq IN (SELECT record_seq FROM tool_calls WHERE tool_name IN ({{}}){also})",
        called_tool=f"called_tools IN (SELECT id FROM dictionary WHERE kind = {CALL_KINDS['called_tools']} "
        "AND position(value, {}) > 0)",
        like=like,
        in_network=lambda first, last, length: (
            f"(length(client_ip) = {length} AND client_ip BETWEEN {first} AND {last})"
        ),
        # 1 is that of the record itself (storage/clickhouse/codec.py).
        text_columns={"request_id": "if(request_id = '\\x01', UUIDNumToString(id), request_id)"},
        sum="(toDecimal128(coalesce({}, 0), 0) + toDecimal128(coalesce({}, 0), 0))",
        negated="(ifNull({}, 0) = 0)",
        among="{} IN {}",
        number_list=lambda numbers: numbers or [_NO_SEQ],
        of_keys="seq IN {}",
        divided=lambda number, by: f"intDiv({number}, {by})",
        unindexed="{}",
        bucket=bucket_column,
        tool_text="(length({0}) = 0 OR position(search, {0}) > 0)",
        tool_request="llm_request_id = {}",
        floating="toFloat64({})",
        record_columns=", ".join(COLUMNS),
        committed=committed,
        # Rows are found by few columns, and only those found are read whole, from the partitions that have them.
        page=lambda where, order, limit: (
            "PREWHERE (started_at_us, seq) IN "
            f"(SELECT started_at_us, seq FROM records WHERE {where} {order} {limit}) WHERE 1 = 1{also} {order}"
        ),
        scan_rows=_SCAN_ROWS,
        patience=_PATIENCE,
        call_ids=1 << PLACE_BITS,
        joins_ranges=True,
        to_bytes=lambda text: text.encode("utf-8", "surrogateescape"),
        histograms=HISTOGRAM_SUM,
        to_counts=to_counts,
        rollups=rollups(committed, sums),
        rollup_class="status_digit",
        tool_rollups=tool_rollups(committed or "1 = 1"),
        newest_tool="max(id)",
    )
