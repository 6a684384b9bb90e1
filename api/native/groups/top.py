"""Endpoints, and whatever else records are grouped by: how many requests, what failed, bytes,
latency and cost of each.

Records are also grouped by a header, or by a path in JSON bodies: `by=header.x-tenant`,
`by=body.user.id`. Rollups answer a filter that has only their dimensions. Otherwise the newest
records are added up within the time budget of the store; `seen` is their number, and `complete` is
true if these were all.

With a range of time, `before=true` adds the figures of the period of that length before it, if the
log reaches back so far. `buckets` adds the requests of each group over time, except for headers and
paths in bodies, which take long to read. `sort` is the figure with the largest first; groups that
became slower, or fail more, are found by the period before. `by=tool` counts calls of tools
instead: those of MCP, and those in LLM calls.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from operator import attrgetter
from typing import Final, Literal, NamedTuple, Self, cast, get_args

from aiohttp import web
from msgspec import UNSET

from api.http.errors import BadParameter
from api.http.paging import reaches_back
from api.http.params import (
    Query,
    read_bool,
    read_choice,
    read_filter,
    read_int,
)
from api.http.responses import ApiObject, filled, json_response, true_or_unset
from api.http.times import format_time
from api.native.aggregates import PercentilesShown, Sampled, percentiles_shown
from api.native.groups.words import TOOL, read_group
from api.services import services_of
from storage.aggregates import TOP_FIELDS, Latencies, Top, TopRow, TopSeries, most
from storage.base import Storage
from storage.query import Filter, RecordQuery, SeriesQuery, TopQuery
from storage.record import ToolCall
from storage.search.cell import State
from storage.search.expression import Has, Or, asked_values, both, conjuncts, fields
from storage.tools import ToolFilter, ToolQuery

MAX_CALLS: Final = 5000
PAGE_CALLS: Final = 500


def tool_filter(filter: Filter) -> ToolFilter:
    """Say of tool calls what a filter says of records.

    Raises:
        BadParameter: it asks for something that a tool call does not have.
    """
    scope = filter.scope
    since_us = filter.since_us
    until_us = filter.until_us

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
    """Add up the newest calls of a filter by tool, up to `MAX_CALLS`; failed ones are counted as
    `server_errors`.

    Calls of MCP are no records, and the store has no sums of them by time. Of tools that pass here
    otherwise, the LLM calls tell: the one that asked for a tool, and the one that reported its
    failure.

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
    rows = [_row(name, found) for name, found in by_tool.items()]
    reported, is_all = await _reported(storage, filter)
    rows += [row for name, row in reported.items() if name not in by_tool]
    return Top(most(rows), sum(row.exchanges for row in rows), is_whole and is_all)


async def _reported(storage: Storage, filter: Filter) -> tuple[dict[str, TopRow], bool]:
    """Count tools by what the newest LLM calls tell of them, up to `MAX_CALLS`; whether these are
    all.
    """
    wanted = asked_values(filter.where, "tool")
    keys = asked_values(filter.where, "key_id")
    reports = Or((Has("called_tool"), Has("tool_error")))
    about = replace(filter, kind="all", where=both(fields(key_id=keys), Has("provider"), reports))
    called: dict[str, float] = {}
    failed: dict[str, float] = {}
    sampled: set[str] = set()
    seen = 0
    after = None

    is_whole = False
    while not is_whole and seen < MAX_CALLS:
        page = await storage.read(RecordQuery(filter=about, limit=PAGE_CALLS, after=after))
        for record in page.records:
            stream = record.stream
            if stream is None:
                continue
            for names, counts in (
                (stream.tools or (), called),
                (stream.failed_tools or (), failed),
            ):
                for name in names:
                    counts[name] = counts.get(name, 0) + record.weight
                if record.weight != 1:
                    sampled.update(names)

        seen = seen + len(page.records)
        after = page.next_after
        is_whole = page.complete and after is None
        if not page.complete:
            break

    # A call names each tool once that it asks for, and may ask for several calls of one.
    rows = {}
    for name in called | failed:
        failures = failed.get(name, 0)
        calls = max(called.get(name, 0), failures)
        if not wanted or name in wanted:
            rows[name] = TopRow(
                (name,),
                exchanges=round(calls),
                server_errors=round(failures),
                sampled=name in sampled,
            )

    return rows, is_whole


class _Call(NamedTuple):
    """What is counted of a call: its arguments and result may have 64 KiB each."""

    tool_name: str
    has_failed: bool
    request_bytes: int
    response_bytes: int
    cost_usd: float
    latency_us: int | None
    weight: float

    @classmethod
    def of(cls, call: ToolCall) -> Self:
        sizes = len(call.arguments or b""), len(call.result or b"")
        return cls(
            call.tool_name,
            call.status == "error",
            *sizes,
            call.cost_usd,
            call.latency_us,
            call.weight,
        )


def _row(name: str, calls: list[_Call]) -> TopRow:
    durations = Latencies()
    for call in calls:
        if call.latency_us is not None:
            one = Latencies.of([call.latency_us])
            durations.add(dict.fromkeys(one.counts, call.weight), one.least_us, one.most_us)

    sampled = any(call.weight != 1 for call in calls)
    if not sampled:
        durations.values = sorted(call.latency_us for call in calls if call.latency_us is not None)
    return TopRow(
        (name,),
        exchanges=round(sum(call.weight for call in calls)),
        server_errors=round(sum(call.weight * call.has_failed for call in calls)),
        request_bytes=round(sum(call.weight * call.request_bytes for call in calls)),
        response_bytes=round(sum(call.weight * call.response_bytes for call in calls)),
        cost_nano_usd=round(sum(call.weight * call.cost_usd for call in calls) * 10**9),
        durations=durations,
        sampled=sampled,
    )


Sort = Literal[
    "requests", "4xx", "5xx", "p50", "p95", "p99", "bytes", "tokens", "cost", "slower", "failing"
]
SORTS: Final[tuple[Sort, ...]] = get_args(Sort)
"""What can be most first; `bytes` are those of responses.

Against the period before, `slower` is the p95 in its multiples, and `failing` how much the share of
5xx has risen.
"""
DEFAULT_ROWS: Final = 100
MAX_ROWS: Final = 1000
MAX_BUCKETS: Final = 120


class BeforeShown(ApiObject):
    """What came of the same in the period before."""

    exchanges: int
    server_errors: int
    duration_ms: PercentilesShown


class TopRowShown(ApiObject):
    """`value` is null for requests without one, and `state` says why; `method` is null but for
    endpoints.

    By `failure`, `value` is the endpoint, and `error`, `status` and `message` say what came of its
    requests, as these words of a search find them; a message begins with the names of tools that
    failed. `counted` says whether tokens were reported, `cost_usd` is null where no cost is known.
    Calls over a WebSocket are no requests, but their tokens and cost are added. By `tool`, calls
    are counted: `exchanges` are calls, `server_errors` those that failed.
    """

    value: str | None
    state: State
    share: float
    """Of the requests that were looked at, 0 to 1: by `failure` of those that failed."""
    method: str | None
    error: str | None
    status: int | None
    message: str | None
    exchanges: int
    client_errors: int
    server_errors: int
    request_bytes: int
    response_bytes: int
    duration_ms: PercentilesShown
    input_tokens: int
    output_tokens: int
    counted: bool
    cost_usd: float | None
    before: BeforeShown | None
    series: list[int] | None


class SeriesShown(ApiObject):
    """The steps of the rows' `series`; the last may still be going on."""

    start: str
    step_s: float
    complete: bool


class TopShown(ApiObject):
    """`values` is how many there are; `rows` are the first of them by `sort`."""

    by: str
    since: str | None
    until: str | None
    seen: int
    values: int
    complete: bool
    series: SeriesShown | None
    rows: list[TopRowShown]
    sampled: Sampled = UNSET


async def endpoints(request: web.Request) -> web.Response:
    """List the endpoints of a filter's requests, most requested first unless `sort` says otherwise."""
    return await _top(request, "endpoint")


async def top(request: web.Request) -> web.Response:
    """List the values that most requests of a filter have in one field."""
    return await _top(request, read_group("by", request.query.get("by") or "endpoint"), "by")


async def _top(request: web.Request, by: str, *others: str) -> web.Response:
    services = services_of(request)
    query: Query = request.query
    now_us = services.now_us()
    filter = read_filter(query, now_us, "limit", "before", "buckets", "sort", *others)
    limit = read_int(query, "limit", DEFAULT_ROWS, minimum=1, maximum=MAX_ROWS)
    if by == "failure" and not asked_values(filter.where, "level"):
        filter = replace(filter, where=both(filter.where, fields(level=("warn", "error"))))
    sort = read_choice(query, "sort", SORTS, "requests")
    change = _CHANGES.get(sort)
    if change is not None and filter.since_us is None:
        raise BadParameter("sort", sort, "a range of time beside it, with `since`")
    found = await _added_up(services.storage, filter, by)
    before = None
    if found.complete and (change is not None or read_bool(query, "before")):
        before = await _read_before(services.storage, filter, by, now_us)
    if before is None:
        known = {}
    else:
        known = {row.names: row for row in before.rows}
    if change is None:
        rows = sorted(found.rows, key=_FIGURES[sort], reverse=True)
    elif before is None:
        rows = found.rows
    else:
        rows = sorted(
            found.rows, key=lambda row: change(row, known.get(row.names, _NEW)), reverse=True
        )
    series = await _series(request, filter, by, now_us)
    shown = TopShown(
        by=by,
        since=None if filter.since_us is None else format_time(filter.since_us),
        until=None if filter.until_us is None else format_time(filter.until_us),
        seen=found.seen,
        values=len(found.rows),
        complete=found.complete,
        sampled=true_or_unset(found.sampled),
        series=None if series is None else _steps(series),
        rows=[_shown(row, by, known.get(row.names), before, found.seen) for row in rows[:limit]],
    )
    if series is not None:
        for row, row_shown in zip(rows, shown.rows, strict=False):
            row_shown.series = series.counts.get(row.names, [])
    return json_response(shown)


async def _added_up(storage: Storage, filter: Filter, by: str) -> Top:
    return await (top_tools(storage, filter) if by == TOOL else storage.read(TopQuery(filter, by)))


def _latency(name: str) -> Callable[[TopRow], int]:
    """Read a percentile; nothing measured is less than anything."""
    read = attrgetter(f"duration.{name}_us")
    return lambda row: -1 if (value := read(row)) is None else value


def _slower(row: TopRow, before: TopRow) -> float:
    """Return the p95 in multiples of that before; 0 where one of both was not measured."""
    now_us = row.duration.p95_us
    before_us = before.duration.p95_us
    if now_us is None or before_us is None:
        return 0.0
    return now_us / max(1, before_us)


def _failing(row: TopRow, before: TopRow) -> float:
    """Return how much the share of 5xx has risen."""
    return _failed_share(row) - _failed_share(before)


def _failed_share(row: TopRow) -> float:
    return row.server_errors / max(1, row.exchanges)


_NEW: Final = TopRow(())
"""What came before of a value that was not there."""
_CHANGES: Final[Mapping[Sort, Callable[[TopRow, TopRow], float]]] = {
    "slower": _slower,
    "failing": _failing,
}
"""What rows are ordered by against the period before."""
_FIGURES: Final[Mapping[Sort, Callable[[TopRow], int]]] = {
    "requests": attrgetter("exchanges"),
    "4xx": attrgetter("client_errors"),
    "5xx": attrgetter("server_errors"),
    "p50": _latency("p50"),
    "p95": _latency("p95"),
    "p99": _latency("p99"),
    "bytes": attrgetter("response_bytes"),
    "tokens": lambda row: row.input_tokens + row.output_tokens,
    "cost": attrgetter("cost_nano_usd"),
}
"""What rows are ordered by; those alike stay in the order of requests."""


async def _read_before(storage: Storage, filter: Filter, by: str, now_us: int) -> Top | None:
    """Add up the period before; None when there is no period, or the log does not cover all of it."""
    if filter.since_us is None:
        return None
    length_us = (now_us if filter.until_us is None else filter.until_us) - filter.since_us
    since_us = filter.since_us - length_us
    if length_us <= 0 or not await reaches_back(storage, since_us):
        return None

    earlier = replace(filter, since_us=since_us, until_us=filter.since_us)
    found = await _added_up(storage, earlier, by)
    if found.complete:
        return found
    return None


async def _series(request: web.Request, filter: Filter, by: str, now_us: int) -> TopSeries | None:
    """Count what is asked for over time; None when nothing is."""
    buckets = read_int(request.query, "buckets", 0, minimum=0, maximum=MAX_BUCKETS)
    if not buckets or by not in TOP_FIELDS:
        return None
    if filter.since_us is None:
        raise BadParameter("buckets", str(buckets), "a range of time beside it, with `since`")

    if filter.until_us is None:
        until_us = now_us
    else:
        until_us = filter.until_us
    return await services_of(request).storage.read(
        SeriesQuery(filter, by, filter.since_us, until_us, buckets)
    )


def _steps(series: TopSeries) -> SeriesShown:
    return SeriesShown(format_time(series.start_us), series.step_us / 1_000_000, series.complete)


def _state_of(row: TopRow, by: str, value: str | None) -> State:
    if by in TOP_FIELDS or by == TOOL:
        if value is None:
            return "absent"
        return "known"
    return cast(State, row.names[1])


def _shown(
    row: TopRow, by: str, known: TopRow | None, before: Top | None, seen: int
) -> TopRowShown:
    method, value, *why = row.names if by in ("endpoint", "failure") else (None, row.names[0])
    error, status, message = why or (None, None, None)
    earlier = known or TopRow(row.names)
    return filled(
        TopRowShown,
        row,
        value=value,
        state=_state_of(row, by, value),
        share=round(row.exchanges / seen, 6) if seen else 0.0,
        method=method,
        error=error,
        status=None if status is None else int(status),
        message=message,
        duration_ms=percentiles_shown(row.duration),
        counted=bool(row.input_tokens or row.output_tokens),
        cost_usd=row.cost_nano_usd / 10**9 or None,
        before=None
        if before is None
        else filled(BeforeShown, earlier, duration_ms=percentiles_shown(earlier.duration)),
        series=None,
    )
