"""Figures about many records: values of facets, counts over time, totals with percentiles. Native filters, one scope.

The store does the counting, from rollups where it can; here parameters become its arguments and its values JSON. A
figure that had to be cut by the time budget says `complete: false`, and a count that cannot be told is null, never a
guess.
"""

from typing import Final

from aiohttp import web

from api.http.answers import json_answer
from api.http.errors import BadParameter
from api.http.params import FILTER_PARAMETERS, Query, read_filter, read_int, read_list, refuse_unknown
from api.http.times import format_time
from api.services import services_of
from storage.aggregates import FACETS, FacetValue, HistogramBucket, ModelUsage, Percentiles
from storage.relational.usage import TOKENS, total

DEFAULT_BUCKETS: Final = 60
MAX_BUCKETS: Final = 500
"""More columns than a wide screen has room for."""
MAX_MODELS: Final = 100
"""Models of a summary that are listed; the totals are those of all."""
DEFAULT_RANGE_US: Final = 3600 * 1_000_000
"""A histogram without `since` shows the last hour."""


async def facets(request: web.Request) -> web.Response:
    """Answer the values of facets (`name=route,status`; all when not given), with counts where rollups have them."""
    services = services_of(request)
    refuse_unknown(request.query, FILTER_PARAMETERS | {"name"})
    found = await services.storage.facets(read_filter(request.query, services.now_us()), read_names(request.query))
    return json_answer({"facets": {name: [_value(value) for value in values] for name, values in found.items()}})


def read_names(query: Query) -> tuple[str, ...]:
    """Read which facets are wanted.

    Raises:
        BadParameter: there is no such facet.
    """
    names = read_list(query, "name") if "name" in query else ()
    for name in names:
        if name not in FACETS:
            raise BadParameter("name", name, "some of " + ", ".join(FACETS))
    return names or tuple(FACETS)


async def histogram(request: web.Request) -> web.Response:
    """Answer counts by status class and latency percentiles over time, in at most `buckets` steps."""
    services = services_of(request)
    query, now_us = request.query, services.now_us()
    refuse_unknown(query, FILTER_PARAMETERS | {"buckets"})
    buckets = read_int(query, "buckets", DEFAULT_BUCKETS, maximum=MAX_BUCKETS)
    filter = read_filter(query, now_us)
    until_us = now_us if filter.until_us is None else filter.until_us
    since_us = until_us - DEFAULT_RANGE_US if filter.since_us is None else filter.since_us
    if buckets == 0 or since_us >= until_us:
        raise BadParameter("buckets", query.get("buckets", ""), "at least 1, and since before until")
    found = await services.storage.histogram(filter, since_us, until_us, buckets)
    return json_answer(
        {
            "since": format_time(since_us),
            "until": format_time(until_us),
            "step_s": found.step_us / 1_000_000,
            "complete": found.complete,
            "buckets": [_bucket(bucket) for bucket in found.buckets],
        }
    )


async def summary(request: web.Request) -> web.Response:
    """Answer totals, percentiles and the most frequent values of a filter."""
    services = services_of(request)
    refuse_unknown(request.query, FILTER_PARAMETERS)
    found = await services.storage.summary(read_filter(request.query, services.now_us()))
    return json_answer(
        {
            "exchanges": found.exchanges,
            "events": found.events,
            "status": found.status_classes,
            "request_bytes": found.request_bytes,
            "response_bytes": found.response_bytes,
            "duration_ms": _percentiles(found.duration),
            "first_byte_ms": _percentiles(found.first_byte),
            "rate_per_s": found.rate_per_s,
            "top": {name: [_value(value) for value in values] for name, values in found.top.items()},
            "usage": None if found.models is None else _usage(found.models),
            "complete": found.complete,
        }
    )


def _usage(models: list[ModelUsage]) -> dict[str, object]:
    """Show the use of language models: of all of them, and of those called most."""
    whole = _counts(total(models))
    shown = [{"provider": one.provider, "model": one.model, **_counts(one)} for one in models[:MAX_MODELS]]
    return {**whole, "models": shown}


def _counts(usage: ModelUsage) -> dict[str, object]:
    return {name: getattr(usage, name) for name in ("calls", "counted", "priced", *TOKENS, "cost_usd")}


def _value(value: FacetValue) -> dict[str, object]:
    return {"value": value.value, "count": value.count}


def _bucket(bucket: HistogramBucket) -> dict[str, object]:
    return {
        "start": format_time(bucket.start_us),
        "status": bucket.status_classes,
        "exchanges": bucket.exchanges,
        "events": bucket.events,
        "duration_ms": _percentiles(bucket.duration),
    }


def _percentiles(found: Percentiles) -> dict[str, float | None]:
    return {
        name: None if value is None else value / 1000
        for name, value in (("p50", found.p50_us), ("p95", found.p95_us), ("p99", found.p99_us))
    }
