"""Aggregates of many records: values of facets, counts over time, totals with percentiles.

The store does the counting, from rollups where it can; here parameters become its arguments and its
values JSON. An answer that the time budget cut says `complete: false`, and an unknown count is
null, never a guess.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Final, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from api.http.errors import BadParameter
from api.http.params import (
    Query,
    read_bool,
    read_filter,
    read_int,
    read_list,
    refuse_backward,
)
from api.http.responses import ApiObject, filled, json_response, true_or_unset
from api.http.times import format_time
from api.services import services_of
from storage.aggregates import (
    BOUNDS_US,
    FACETS,
    FIRST_STEP,
    FacetValue,
    Histogram,
    HistogramBucket,
    ModelUsage,
    Percentiles,
)
from storage.query import FacetQuery, Filter, HistogramQuery, SummaryQuery
from storage.relational.usage import total

DEFAULT_BUCKETS: Final = 60
MAX_BUCKETS: Final = 500
"""Largest number of columns; a wide screen has room for fewer."""
DEFAULT_COLUMNS: Final = 60
MAX_COLUMNS: Final = 120
DEFAULT_ROWS: Final = 30
MAX_ROWS: Final = 60
"""Largest number of rows; with 120 columns that is 7,200 cells, more than a reader can distinguish.
"""
MAX_MODELS: Final = 100
"""Number of models that a summary lists; its totals include all."""
DEFAULT_RANGE_US: Final = 3600 * 1_000_000
"""Range of a histogram that has `until` without `since`, or a `since` in the future."""


Sampled = Annotated[
    Literal[True] | UnsetType,
    msgspec.Meta(
        description=(
            "there only where some of the records stand for several (`weight`): figures are "
            "weighed estimates"
        )
    ),
]


class FacetValueShown(ApiObject):
    """A value, and how many records have it; null where only a scan could tell."""

    value: str
    count: int | None


class FacetsShown(ApiObject):
    """Values to filter by, by facet, most frequent first."""

    facets: dict[str, list[FacetValueShown]]
    sampled: Sampled = UNSET


class PercentilesShown(ApiObject):
    """Milliseconds by nearest rank, null without exchanges. `estimated`: computed from buckets, at
    most 5 % off.
    """

    p50: float | None
    p95: float | None
    p99: float | None
    estimated: bool


class BucketShown(ApiObject):
    """One step of a histogram."""

    start: str
    status: dict[str, int]
    exchanges: int
    events: int
    duration_ms: PercentilesShown


class HistogramShown(ApiObject):
    since: str
    until: str
    step_s: float
    complete: bool
    buckets: list[BucketShown]
    sampled: Sampled = UNSET


class RowShown(ApiObject):
    """Durations from `min_ms` to `max_ms`, both inclusive as in a search; the slowest row may have
    no end.
    """

    min_ms: float
    max_ms: float | None


class HeatMapShown(HistogramShown, kw_only=True):
    """Exchanges by time (`buckets`, one a column) and duration (`rows`, the shortest first):
    `counts[column][row]`.
    """

    rows: list[RowShown]
    counts: list[list[int]]


class CallsShown(ApiObject):
    """LLM calls: how many, how many of them with known tokens and a known cost, and the sums of
    those.
    """

    calls: int
    counted: int
    priced: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_usd: float | None


class UsageShown(CallsShown):
    """All calls, and by model those called most."""

    models: list[ModelUsage]


class SummaryShown(ApiObject):
    exchanges: int
    events: int
    status: dict[str, int]
    request_bytes: int
    response_bytes: int
    duration_ms: PercentilesShown
    first_byte_ms: PercentilesShown
    rate_per_s: float | None
    """Rate over the part of the requested range that has records, from `since` to `until`."""
    since: str | None
    until: str | None
    top: dict[str, list[FacetValueShown]]
    usage: UsageShown | None
    complete: bool
    newest: Annotated[
        Literal[True] | UnsetType,
        msgspec.Meta(
            description=(
                "there only where the time did not suffice for all records of a search: figures "
                "are of the newest of them, back to `since`"
            )
        ),
    ] = UNSET
    sampled: Sampled = UNSET


async def facets(request: web.Request) -> web.Response:
    """List the values of facets (`name=route,status`; default all), with counts where they are
    known.
    """
    services = services_of(request)
    filter = read_filter(request.query, services.now_us(), "name")
    found = await services.storage.read(FacetQuery(filter, read_names(request.query)))
    sampled = any(value.sampled for values in found.values() for value in values)
    return json_response(FacetsShown(_values_shown(found), true_or_unset(sampled)))


def _values_shown(found: Mapping[str, Sequence[FacetValue]]) -> dict[str, list[FacetValueShown]]:
    return {
        name: [FacetValueShown(each.value, each.count) for each in values]
        for name, values in found.items()
    }


def read_names(query: Query) -> tuple[str, ...]:
    """Parse the names of facets.

    Raises:
        BadParameter: a facet does not exist.
    """
    if "name" in query:
        names = read_list(query, "name")
    else:
        names = ()
    for name in names:
        if name not in FACETS:
            raise BadParameter("name", name, "some of " + ", ".join(FACETS))
    return names or tuple(FACETS)


async def histogram(request: web.Request) -> web.Response:
    """Return counts by status class and latency percentiles over time, in at most `buckets` steps."""
    services = services_of(request)
    query = request.query
    filter, since_us, until_us = _read_range(query, services.now_us(), "buckets")
    buckets = read_int(query, "buckets", DEFAULT_BUCKETS, minimum=1, maximum=MAX_BUCKETS)
    found = await services.storage.read(HistogramQuery(filter, since_us, until_us, buckets))
    return json_response(HistogramShown(**_steps(found, since_us, until_us)))


async def heatmap(request: web.Request) -> web.Response:
    """Return a histogram in at most `columns` steps, and of each the counts by duration, in at most
    `rows` rows.
    """
    services = services_of(request)
    query = request.query
    filter, since_us, until_us = _read_range(query, services.now_us(), "columns", "rows")
    columns = read_int(query, "columns", DEFAULT_COLUMNS, minimum=1, maximum=MAX_COLUMNS)
    rows = read_int(query, "rows", DEFAULT_ROWS, minimum=1, maximum=MAX_ROWS)
    found = await services.storage.read(HistogramQuery(filter, since_us, until_us, columns))
    bounds_us, counts = fold(found.buckets, rows)
    bounds = [
        RowShown(low / 1000, None if high is None else high / 1000) for low, high in bounds_us
    ]
    return json_response(
        HeatMapShown(**_steps(found, since_us, until_us), rows=bounds, counts=counts)
    )


def fold(
    columns: Sequence[HistogramBucket], max_rows: int
) -> tuple[list[tuple[int, int | None]], list[list[int]]]:
    """Return the rows of a heat map, up to `max_rows`, for the durations of its columns.

    Each row is 1, 2, 4, … buckets, as few as possible, and ends at a multiple of that many eighths
    of a doubling, so the rows of two maps either nest or do not overlap.

    Returns:
        The least and the greatest duration of each row, shortest first, both inclusive; the last may have no end. And
        the counts by column and row, without rows at both ends that no column needs.
    """
    occurring = {bucket for column in columns for bucket in column.durations}
    if not occurring:
        return [], [[] for _ in columns]

    width = 1
    while (last := _row_of(max(occurring), width)) - (
        first := _row_of(min(occurring), width)
    ) >= max_rows:
        width *= 2

    counts = [[0] * (last - first + 1) for _ in columns]
    for cells, column in zip(counts, columns, strict=True):
        for bucket, count in column.durations.items():
            cells[_row_of(bucket, width) - first] += count
    ends = [_end_us(row * width) for row in range(first - 1, last + 1)]
    return [(0 if least is None else least + 1, most) for least, most in pairwise(ends)], counts


def _row_of(bucket: int, width: int) -> int:
    return -(-(bucket + FIRST_STEP) // width)


def _end_us(step: int) -> int | None:
    """Return the bound at a step; None if there is none."""
    bucket = step - FIRST_STEP
    if 0 <= bucket < len(BOUNDS_US):
        return BOUNDS_US[bucket]
    return None


def _steps(found: Histogram, since_us: int, until_us: int) -> dict[str, Any]:
    """Return the members that both have."""
    return {
        "since": format_time(since_us),
        "until": format_time(until_us),
        "step_s": found.step_us / 1_000_000,
        "complete": found.complete,
        "sampled": true_or_unset(found.sampled),
        "buckets": [_bucket(bucket) for bucket in found.buckets],
    }


def _read_range(query: Query, now_us: int, *others: str) -> tuple[Filter, int, int]:
    """Read the filter and a range of time, and refuse parameters that are not `others`.

    Raises:
        BadParameter: the range is empty, or as `read_filter`.
    """
    filter = read_filter(query, now_us, *others)
    since_us, until_us = _range(filter, now_us)
    refuse_backward(since_us, until_us)
    return filter, since_us, until_us


def _range(filter: Filter, now_us: int) -> tuple[int, int]:
    """Complete a range of time; without `until` it is never empty, also where a client's clock is
    ahead of ours.
    """
    since_us = filter.since_us
    until_us = filter.until_us
    if until_us is None:
        if since_us is None or since_us < now_us:
            until_us = now_us
        else:
            until_us = since_us + DEFAULT_RANGE_US
    return until_us - DEFAULT_RANGE_US if since_us is None else since_us, until_us


async def summary(request: web.Request) -> web.Response:
    """Return totals, percentiles and, unless only totals are asked for, the most frequent values of
    a filter.
    """
    services = services_of(request)
    filter = read_filter(request.query, services.now_us(), "totals")
    only_totals = read_bool(request.query, "totals")
    found = await services.storage.read(SummaryQuery(filter, only_totals=only_totals))
    shown = filled(
        SummaryShown,
        found,
        status=found.status_classes,
        duration_ms=percentiles_shown(found.duration),
        first_byte_ms=percentiles_shown(found.first_byte),
        since=None if found.since_us is None else format_time(found.since_us),
        until=None if found.until_us is None else format_time(found.until_us),
        top=_values_shown(found.top),
        usage=None if found.models is None else _usage(found.models),
        newest=true_or_unset(found.is_newest),
        sampled=true_or_unset(found.sampled),
    )
    return json_response(shown)


def _usage(models: list[ModelUsage]) -> UsageShown:
    """Return the use of language models: of all of them, and of those called most."""
    return filled(UsageShown, total(models), models=models[:MAX_MODELS])


def _bucket(bucket: HistogramBucket) -> BucketShown:
    start = format_time(bucket.start_us)
    duration_ms = percentiles_shown(bucket.duration)
    return filled(
        BucketShown, bucket, start=start, status=bucket.status_classes, duration_ms=duration_ms
    )


def percentiles_shown(found: Percentiles) -> PercentilesShown:
    p50, p95, p99 = (
        None if value is None else value / 1000
        for value in (found.p50_us, found.p95_us, found.p99_us)
    )
    return PercentilesShown(p50, p95, p99, found.is_estimated)
