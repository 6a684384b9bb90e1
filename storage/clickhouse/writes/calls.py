"""Tool calls as rows: those that have ended, and those whose answer is awaited.

Strategy: nothing is changed or deleted when an answer comes: a call is waiting that has ended in no row. So it does not
matter which of the two batches comes first.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from storage.clickhouse.dictionary import Values, text_id
from storage.clickhouse.native import Column
from storage.clickhouse.writes.rows import Rows
from storage.record import Entry, ToolCall
from storage.relational.tools.rows import COLUMNS, FIRST_REPEATED, Row, row_of
from storage.tools import awaited_calls, ended_calls

PLACE_BITS: Final = 20
"""Of a call's id, below the `seq` of its record: its place among the calls stored with that."""
_TYPES: Final = {
    "record_id": "FixedString(16)", "status": "UInt8", "cost_usd": "Float64", "llm_request_id": "Nullable(String)",
    "rpc_id": "Nullable(String)", "session": "Nullable(String)", "search": "String", "detail": "Array(UInt8)",
}  # fmt: skip
CALL_TYPES: Final = {column: _TYPES.get(column, "Int64") for column in COLUMNS}
"""Columns of `tool_calls`, beside its place and attempt."""
WAITING_TYPES: Final = {
    "record_id": "FixedString(16)", "position": "Int64", "instance": "String", "started_at_us": "Int64",
    "data": "Array(UInt8)",
}  # fmt: skip
"""Columns of `waiting_calls`, beside `seq` and `attempt`."""
_encode: Final = msgspec.msgpack.Encoder().encode


def ended_of(entries: Sequence[Entry], values: Values) -> Rows | None:
    """Make the rows of `tool_calls`; repeated text is added to `values`. None without any.

    Raises:
        ValueError: A record has more calls than ids. See also `Rows`.
    """
    places, calls = _gathered(entries, ended_calls)
    if not calls:
        return None
    within = _places_within(places)
    if max(within) >> PLACE_BITS:
        raise ValueError(f"a record has {max(within) + 1} tool calls")
    columns = [Column("place", "Int64", within)]
    own = zip(*map(row_of, calls), strict=True)
    for name, column in zip(Row._fields, own, strict=True):
        columns.append(Column(name, CALL_TYPES[name], column))
    for name in COLUMNS[FIRST_REPEATED:]:
        numbers = [text_id(name, getattr(call, name)) for call in calls]
        values.update(
            {
                number: (name, getattr(call, name))
                for number, call in zip(numbers, calls, strict=True)
                if getattr(call, name) is not None
            }
        )
        columns.append(Column(name, "Int64", numbers))
    return Rows.write("tool_calls", places, columns, ("record_seq", "attempt"))


def awaited_of(entries: Sequence[Entry]) -> Rows | None:
    """Make the rows of `waiting_calls`; None without any. See `Rows` for what it raises."""
    places, calls = _gathered(entries, awaited_calls)
    if not calls:
        return None
    made: dict[str, Sequence[Any]] = {
        "record_id": [call.record_id for call in calls],
        "position": [call.position for call in calls],
        "instance": [entries[place].record.instance for place in places],
        "started_at_us": [call.started_at_us for call in calls],
        "data": [_encode(call) for call in calls],
    }
    return Rows.write("waiting_calls", places, [Column(name, type, made[name]) for name, type in WAITING_TYPES.items()])


def _gathered(entries: Sequence[Entry], chosen: Callable[[Entry], list[ToolCall]]) -> tuple[list[int], list[ToolCall]]:
    found = [(place, call) for place, entry in enumerate(entries) if entry.tool_calls for call in chosen(entry)]
    return [place for place, _ in found], [call for _, call in found]


def _places_within(places: Sequence[int]) -> list[int]:
    """Count calls record by record."""
    counts: dict[int, int] = {}
    within = []
    for place in places:
        within.append(counts.get(place, 0))
        counts[place] = within[-1] + 1
    return within
