"""MCP logs, the log of tool calls: list, one call, totals, and filter values.

See `api/dialects/README.md`. Strict: invalid parameters are 400. Calls that run on this sidecar are
merged in by the sort key, and counted.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, get_args

from aiohttp import web
from msgspec import UNSET, UnsetType

from api.http import params
from api.http.errors import BadParameter, ErrorFormat, Refused
from api.http.paging import freeze_and_count, out_of_time
from api.http.responses import ApiObject, encode_rows, json_response, true_or_unset
from api.http.times import read_time_us
from api.native.tool_calls import US_PER_MS, ToolLog, project_call
from api.services import services_of
from storage.query import Order
from storage.record import ToolCall, ToolStatus, parse_id
from storage.tools import (
    ToolFilter,
    ToolQuery,
    ToolSort,
    ToolStats,
    ToolStatsQuery,
    ToolValuesQuery,
    matches,
    sort_key,
)

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 1000
_STATUSES: Final[tuple[ToolStatus, ...]] = get_args(ToolStatus)
_SORTS: Final[tuple[ToolSort, ...]] = ("timestamp", "latency", "cost")
_MILLISECONDS: Final = re.compile(
    r"[0-9]{1,400}(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII
)
"""Matches a JSON number."""
_LAST_US: Final = 999
"""Part of a millisecond added to upper bounds, since times are shown in milliseconds."""


class ToolTotals(ApiObject):
    total_executions: int
    success_rate: float
    average_latency: float
    total_cost: float
    capped: bool | UnsetType = UNSET
    sampled: bool | UnsetType = UNSET


class ToolPagination(ApiObject):
    total_count: int
    limit: int
    offset: int
    sort_by: ToolSort
    order: Order
    total_capped: bool | UnsetType = UNSET


class ToolLogPage(ApiObject):
    logs: list[ToolLog]
    pagination: ToolPagination
    stats: ToolTotals
    has_logs: bool


class ToolKey(ApiObject):
    id: str
    name: str | None


class ToolFilterData(ApiObject):
    """Values to filter by."""

    tool_names: list[str]
    server_labels: list[str]
    virtual_keys: list[ToolKey]


class ToolErrorBody(ApiObject):
    message: str


class ToolError(ApiObject):
    is_bifrost_error: bool
    status_code: int
    error: ToolErrorBody


ERRORS: Final = ErrorFormat(
    body=lambda refused: ToolError(False, refused.status, ToolErrorBody(refused.detail)),
    schema=ToolError,
)


def read_filter(query: params.Query) -> ToolFilter:
    """Read the filters.

    Raises:
        BadParameter: a time or number that cannot be read, or an unknown status.
    """
    since = params.read_text(query, "start_time")
    until = params.read_text(query, "end_time")
    least = _read_latency_us(query, "min_latency")
    most = _read_latency_us(query, "max_latency")
    return ToolFilter(
        tool_names=params.read_list(query, "tool_names"),
        server_labels=params.read_list(query, "server_labels"),
        statuses=params.read_choices(query, "status", _STATUSES),
        key_ids=params.read_list(query, "virtual_key_ids"),
        llm_request_ids=params.read_list(query, "llm_request_ids"),
        since_us=None if since is None else read_time_us("start_time", since),
        until_us=None if until is None else read_time_us("end_time", until) + _LAST_US,
        min_latency_us=least,
        max_latency_us=most,
        content=params.read_text(query, "content_search"),
        seq_until=params.read_optional_int(query, "max_seq"),
    )


def read_query(query: params.Query) -> ToolQuery:
    """Read a page request.

    Raises:
        BadParameter: an invalid number, time, sort key or order, or a limit out of bounds.
    """
    return ToolQuery(
        filter=read_filter(query),
        sort=params.read_choice(query, "sort_by", _SORTS, "timestamp"),
        order=params.read_choice(query, "order", ("desc", "asc"), "desc"),
        limit=params.read_int(query, "limit", DEFAULT_LIMIT, minimum=1, maximum=MAX_LIMIT),
        offset=params.read_int(query, "offset", 0),
    )


def _read_latency_us(query: params.Query, name: str) -> int | None:
    text = params.read_text(query, name)
    if text is None:
        return None
    if not _MILLISECONDS.fullmatch(text):
        raise BadParameter(name, text, "a number of milliseconds")
    return round(min(float(text) * 1000, float(params.MAX_INT64 // 1000 * 1000)))


async def list_calls(request: web.Request) -> web.Response:
    """List tool calls, with the totals of the filter, and a flag for an empty log."""
    services = services_of(request)
    query = read_query(request.query)
    # Taken first: a call that ends in between then appears in at least one of them.
    all_running = services.running_tools()
    running = choose_running(query, all_running)
    offset, limit = stored_window(query, len(running))
    max_seq = query.filter.seq_until
    unbounded = replace(query.filter, seq_until=None)
    frozen, stats = await freeze_and_count(services.storage, unbounded, max_seq, ToolStatsQuery)
    page = await services.storage.read(
        replace(query, filter=frozen.filter, offset=offset, limit=limit)
    )
    if not page.complete:
        raise out_of_time()

    stored = {(call.record_id, call.position) for call in page.calls}
    running = [call for call in running if (call.record_id, call.position) not in stored]
    has_logs = bool(all_running) or (await services.storage.read(ToolValuesQuery())).is_used
    pagination = ToolPagination(
        total_count=stats.stored + len(running),
        limit=query.limit,
        offset=query.offset,
        sort_by=query.sort,
        order=query.order,
        total_capped=true_or_unset(not stats.exact),
    )
    logs = await encode_rows(merge_page(query, page.calls, running), project_call)
    shown = ToolLogPage(logs, pagination, project_stats(stats, len(running)), has_logs)
    return json_response(shown, headers={"X-Max-Seq": str(frozen.max_seq)})


async def get_call(request: web.Request) -> web.Response:
    """Return one tool call, stored or running."""
    services = services_of(request)
    text = request.match_info["id"]
    parts = split_id(text)

    if parts is None:
        record_id = None
    else:
        record_id = parse_id(parts[0])
    if parts is not None and record_id is not None:
        running = services.running_tools()
        call = await services.storage.tool_call(record_id, parts[1])
        flying = (c for c in running if c.record_id == record_id and c.position == parts[1])
        call = call or next(flying, None)
        if call is not None:
            return json_response(project_call(call))

    raise Refused(404, f"there is no tool call {text[:100]!r}")


async def stats(request: web.Request) -> web.Response:
    """Return the totals of the tool calls that match."""
    services = services_of(request)
    filter = read_filter(request.query)
    running = choose_running(ToolQuery(filter=filter), services.running_tools())
    return json_response(
        project_stats(await services.storage.read(ToolStatsQuery(filter)), len(running))
    )


async def filter_data(request: web.Request) -> web.Response:
    """List the values to filter tool calls by."""
    values = await services_of(request).storage.read(ToolValuesQuery())
    keys = [ToolKey(key.id, key.name) for key in values.keys]
    return json_response(ToolFilterData(values.tool_names, values.server_labels, keys))


def project_stats(stats: ToolStats, running: int) -> ToolTotals:
    """Return the totals of a filter.

    Rate and averages are those of finished calls, zero without any.
    """
    finished = stats.executions
    return ToolTotals(
        total_executions=finished + running,
        success_rate=100 * stats.successes / finished if finished else 0,
        average_latency=stats.latency_us / stats.timed / US_PER_MS if stats.timed else 0,
        total_cost=stats.cost_usd,
        capped=true_or_unset(not stats.exact),
        sampled=true_or_unset(stats.sampled),
    )


def split_id(text: str) -> tuple[str, int] | None:
    """Return the record id and the position in a call's id; None if no valid position follows the
    dot.
    """
    name, dot, position = text.rpartition(".")
    if not dot:
        return text, 0
    if not (position.isascii() and position.isdigit() and len(position) <= 9):
        return None
    return name, int(position)


def choose_running(query: ToolQuery, running: Sequence[ToolCall]) -> list[ToolCall]:
    """Return the running calls of a query, in its order."""
    return _sorted(
        [call for call in running if matches(query.filter, call)], query.sort, query.order
    )


def stored_window(query: ToolQuery, running: int) -> tuple[int, int]:
    """Return offset and limit of the stored calls that make up a page together with running ones."""
    skipped = max(0, query.offset - running)
    return skipped, query.offset + query.limit - skipped


def merge_page(
    query: ToolQuery, stored: Sequence[ToolCall], running: Sequence[ToolCall]
) -> list[ToolCall]:
    """Return a page of the stored calls of `stored_window` and the chosen running ones."""
    if running:
        merged = _sorted([*stored, *running], query.sort, query.order)
    else:
        merged = list(stored)
    first = query.offset - stored_window(query, len(running))[0]
    return merged[first : first + query.limit]


def _sorted(calls: list[ToolCall], sort: ToolSort, order: Order) -> list[ToolCall]:
    # Stable in both directions: stored calls keep the order of the store.
    return sorted(calls, key=lambda call: sort_key(sort, call), reverse=order == "desc")
