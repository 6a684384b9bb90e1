"""Seed 003, the log of MCP tool calls: list, one call, figures, and the values to filter by.

Strict: what cannot be read is 400. Calls that run on this sidecar are merged in by the sort key, and counted.
"""

import re
from dataclasses import replace
from typing import Final, cast

from aiohttp import web

from api.dialects.mcp_rows import (
    choose_running,
    merge_page,
    project_row,
    project_stats,
    project_values,
    split_id,
    stored_window,
)
from api.http.answers import encode_rows, json_answer
from api.http.errors import BadParameter, Refused, Shape
from api.http.paging import out_of_time
from api.http.params import MAX_INT64, Query, read_choice, read_int, read_list, read_text
from api.http.times import read_time_us
from api.services import Services, services_of
from storage.query import EVERYTHING
from storage.record import parse_id
from storage.tools import ToolFilter, ToolQuery, ToolSort, ToolStorage

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 1000
_SORTS: Final[tuple[ToolSort, ...]] = ("timestamp", "latency", "cost")
_MILLISECONDS: Final = re.compile(r"[0-9]{1,400}(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
"""A number as JSON writes it."""
_LAST_US: Final = 999
"""Bounds are compared at the millisecond that is shown: the end of it, for the upper one."""


def error_body(refused: Refused) -> dict[str, object]:
    """Word an error as the document does."""
    return {"is_bifrost_error": False, "status_code": refused.status, "error": {"message": refused.detail}}


SHAPE: Final = Shape(body=error_body)


def read_filter(query: Query) -> ToolFilter:
    """Read the filters.

    Raises:
        BadParameter: a time or a number that is none.
    """
    since, until = read_text(query, "start_time"), read_text(query, "end_time")
    least, most = _read_latency_us(query, "min_latency"), _read_latency_us(query, "max_latency")
    return ToolFilter(
        tool_names=read_list(query, "tool_names"),
        server_labels=read_list(query, "server_labels"),
        statuses=read_list(query, "status"),
        key_ids=read_list(query, "virtual_key_ids"),
        llm_request_ids=read_list(query, "llm_request_ids"),
        since_us=None if since is None else read_time_us("start_time", since),
        until_us=None if until is None else read_time_us("end_time", until) + _LAST_US,
        min_latency_us=least,
        max_latency_us=most,
        content=read_text(query, "content_search"),
    )


def read_query(query: Query) -> ToolQuery:
    """Read a page request.

    Raises:
        BadParameter: a number, time, sort key or order that is none, or a limit out of bounds.
    """
    limit = read_int(query, "limit", DEFAULT_LIMIT, maximum=MAX_LIMIT)
    if limit == 0:
        raise BadParameter("limit", query["limit"], f"a decimal number from 1 to {MAX_LIMIT}")
    return ToolQuery(
        filter=read_filter(query),
        sort=read_choice(query, "sort_by", _SORTS, "timestamp"),
        order=read_choice(query, "order", ("desc", "asc"), "desc"),
        limit=limit,
        offset=read_int(query, "offset", 0),
    )


def _read_latency_us(query: Query, name: str) -> int | None:
    text = read_text(query, name)
    if text is None:
        return None
    if not _MILLISECONDS.fullmatch(text):
        raise BadParameter(name, text, "a number of milliseconds")
    return round(min(float(text) * 1000, float(MAX_INT64 // 1000 * 1000)))


async def list_calls(request: web.Request) -> web.Response:
    """Answer one page, the figures of the filter, and whether there is anything at all."""
    services = services_of(request)
    tools = _tools(services)
    query = read_query(request.query)
    all_running = services.running_tools()  # taken first: a call that ends in between is then in one of them
    running = choose_running(query, all_running)
    offset, limit = stored_window(query, len(running))
    page = await tools.tool_calls(replace(query, offset=offset, limit=limit))
    if not page.complete:
        raise out_of_time()
    stored = {(call.record_id, call.position) for call in page.calls}
    running = [call for call in running if (call.record_id, call.position) not in stored]
    stats = await tools.tool_stats(query.filter)
    has_logs = bool(all_running) or (await tools.tool_values(EVERYTHING)).is_used
    pagination = {
        "total_count": stats.executions + len(running),
        "limit": query.limit,
        "offset": query.offset,
        "sort_by": query.sort,
        "order": query.order,
    }
    return json_answer(
        {
            "logs": await encode_rows(merge_page(query, page.calls, running), project_row),
            "pagination": pagination if stats.exact else pagination | {"total_capped": True},
            "stats": project_stats(stats, len(running)),
            "has_logs": has_logs,
        }
    )


async def get_call(request: web.Request) -> web.Response:
    """Answer one call, stored or running.

    Raises:
        Refused: 404, there is none.
    """
    services = services_of(request)
    text = request.match_info["id"]
    parts = split_id(text)
    record_id = None if parts is None else parse_id(parts[0])
    if parts is not None and record_id is not None:
        running = services.running_tools()
        call = await _tools(services).tool_call(record_id, parts[1])
        flying = (c for c in running if c.record_id == record_id and c.position == parts[1])
        call = call or next(flying, None)
        if call is not None:
            return json_answer(project_row(call))
    raise Refused(404, f"there is no tool call {text[:100]!r}")


async def stats(request: web.Request) -> web.Response:
    """Answer the figures of a filter."""
    services = services_of(request)
    filter = read_filter(request.query)
    running = choose_running(ToolQuery(filter=filter), services.running_tools())
    return json_answer(project_stats(await _tools(services).tool_stats(filter), len(running)))


async def filter_data(request: web.Request) -> web.Response:
    """Answer what a filter may name."""
    return json_answer(project_values(await _tools(services_of(request)).tool_values(EVERYTHING)))


def _tools(services: Services) -> ToolStorage:
    """The scoped store, which answers for tool calls too (`api/access/scoped_tools.py`)."""
    return cast(ToolStorage, services.storage)
