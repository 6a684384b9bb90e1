"""Calls of MCP tools, added up by tool: how many, how many failed, how long they took.

Strategy: a call is no record, and the store has no sums of them by time, so the newest are read and counted here, in
pages, as many as `MAX_CALLS`; `complete` says whether these were all.
"""

from dataclasses import replace
from typing import Final, NamedTuple, Self

from api.http.errors import BadParameter
from api.native.groups.names import TOOL
from storage.aggregates import Latencies, Top, TopRow, most
from storage.base import Storage
from storage.query import Filter
from storage.record import ToolCall
from storage.search.expression import asked_values, conjuncts, fields
from storage.tools import ToolFilter, ToolQuery

MAX_CALLS: Final = 5000
PAGE_CALLS: Final = 500


def tool_filter(filter: Filter) -> ToolFilter:
    """Say of tool calls what a filter says of records.

    Raises:
        BadParameter: it asks for something that a tool call does not have.
    """
    scope, since_us, until_us = filter.scope, filter.since_us, filter.until_us
    keys, tools = (asked_values(filter.where, name) for name in ("key_id", "tool"))
    if filter != Filter(scope=scope, since_us=since_us, until_us=until_us, where=filter.where) or (
        set(conjuncts(filter.where)) != set(conjuncts(fields(key_id=keys, tool=tools)))
    ):
        raise BadParameter("by", TOOL, "no filter beside it but since, until, key and tool")
    return ToolFilter(
        scope=scope,
        tool_names=tools,
        key_ids=keys,
        since_us=since_us,
        until_us=None if until_us is None else until_us - 1,
    )


async def top_tools(storage: Storage, filter: Filter) -> Top:
    """Add up the newest calls of a filter by tool; failed ones are counted as `server_errors`.

    Raises:
        BadParameter: as `tool_filter` does.
    """
    query = ToolQuery(filter=tool_filter(filter), limit=PAGE_CALLS)
    calls: dict[tuple[bytes, int], _Call] = {}
    is_whole = False
    while not is_whole and query.offset < MAX_CALLS:
        page = await storage.read(query)
        # By id, since calls that come meanwhile move those that were read to the next page.
        calls |= {(call.record_id, call.position): _Call.of(call) for call in page.calls}
        if not page.complete:
            break
        is_whole = len(page.calls) < PAGE_CALLS
        query = replace(query, offset=query.offset + PAGE_CALLS)
    by_tool: dict[str, list[_Call]] = {}
    for call in calls.values():
        by_tool.setdefault(call.tool_name, []).append(call)
    return Top(most(_row(name, found) for name, found in by_tool.items()), len(calls), is_whole)


class _Call(NamedTuple):
    """What is counted of a call: its arguments and result may have 64 KiB each."""

    tool_name: str
    has_failed: bool
    request_bytes: int
    response_bytes: int
    cost_usd: float
    latency_us: int | None

    @classmethod
    def of(cls, call: ToolCall) -> Self:
        sizes = len(call.arguments or b""), len(call.result or b"")
        return cls(call.tool_name, call.status == "error", *sizes, call.cost_usd, call.latency_us)


def _row(name: str, calls: list[_Call]) -> TopRow:
    durations = sorted(call.latency_us for call in calls if call.latency_us is not None)
    return TopRow(
        (name,),
        exchanges=len(calls),
        server_errors=sum(call.has_failed for call in calls),
        request_bytes=sum(call.request_bytes for call in calls),
        response_bytes=sum(call.response_bytes for call in calls),
        cost_nano_usd=round(sum(call.cost_usd for call in calls) * 10**9),
        durations=replace(Latencies.of(durations), values=durations),
    )
