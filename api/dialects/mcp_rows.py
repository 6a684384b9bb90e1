"""Tool calls in the shape of seed 003, and pages that hold stored and running calls. Pure."""

from collections.abc import Sequence
from typing import Final

import msgspec

from api.http.times import format_time
from storage.query import Order
from storage.record import ToolCall, format_id
from storage.tools import ToolQuery, ToolSort, ToolStats, ToolValues, matches, sort_key

_US_PER_MS: Final = 1000


def call_id(call: ToolCall) -> str:
    """Name a call: its record's id, and its place behind a dot where it is not the first."""
    return format_id(call.record_id) + (f".{call.position}" if call.position else "")


def split_id(text: str) -> tuple[str, int] | None:
    """Take an id apart; None when what stands behind the dot is no place."""
    name, dot, place = text.rpartition(".")
    if not dot:
        return text, 0
    if not (place.isascii() and place.isdigit() and len(place) <= 9):
        return None
    return name, int(place)


def project_row(call: ToolCall) -> dict[str, object]:
    """Show one call; what the document marks as optional is left out when there is nothing to say."""
    row: dict[str, object] = {
        "id": call_id(call),
        "timestamp": format_time(call.started_at_us),
        "tool_name": call.tool_name,
        "server_label": call.server_label,
        "virtual_key_id": call.key_id,
        "virtual_key_name": call.key_name,
        "arguments": _raw(call.arguments),
        "result": _raw(call.result),
        "latency": None if call.latency_us is None else call.latency_us / _US_PER_MS,
        "cost": call.cost_usd,
        "status": call.status,
        "metadata": msgspec.json.decode(call.metadata) | {"record_id": format_id(call.record_id)},
        "created_at": format_time(call.created_at_us),
    }
    if call.llm_request_id is not None:
        row["llm_request_id"] = call.llm_request_id
    if call.error_details is not None:
        row["error_details"] = _raw(call.error_details)
    if call.key_id is not None:
        row["virtual_key"] = {"id": call.key_id, "name": call.key_name, "last4": call.key_last4}
    return row


def project_stats(stats: ToolStats, running: int) -> dict[str, object]:
    """Show the figures of a filter; rate and averages are those of finished calls, zero without any."""
    finished = stats.executions
    shown: dict[str, object] = {
        "total_executions": finished + running,
        "success_rate": 100 * stats.successes / finished if finished else 0,
        "average_latency": stats.latency_us / stats.timed / _US_PER_MS if stats.timed else 0,
        "total_cost": stats.cost_usd,
    }
    return shown if stats.exact else shown | {"capped": True}


def project_values(values: ToolValues) -> dict[str, object]:
    """Show what a filter may name."""
    return {
        "tool_names": values.tool_names,
        "server_labels": values.server_labels,
        "virtual_keys": [{"id": key.id, "name": key.name} for key in values.keys],
    }


def choose_running(query: ToolQuery, running: Sequence[ToolCall]) -> list[ToolCall]:
    """Choose the running calls of a query, in its order."""
    return _sorted([call for call in running if matches(query.filter, call)], query.sort, query.order)


def stored_window(query: ToolQuery, running: int) -> tuple[int, int]:
    """Which stored calls are needed to make a page together with some running ones: offset and limit."""
    skipped = max(0, query.offset - running)
    return skipped, query.offset + query.limit - skipped


def merge_page(query: ToolQuery, stored: Sequence[ToolCall], running: Sequence[ToolCall]) -> list[ToolCall]:
    """Cut a page out of the stored calls of `stored_window` and the chosen running ones."""
    merged = _sorted([*stored, *running], query.sort, query.order) if running else list(stored)
    first = query.offset - stored_window(query, len(running))[0]
    return merged[first : first + query.limit]


def _sorted(calls: list[ToolCall], sort: ToolSort, order: Order) -> list[ToolCall]:
    # Stable in both directions: stored calls keep the order of the store.
    return sorted(calls, key=lambda call: sort_key(sort, call), reverse=order == "desc")


def _raw(value: bytes | None) -> msgspec.Raw | None:
    return None if value is None else msgspec.Raw(value)
