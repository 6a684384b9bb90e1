"""The figures of an alert, read from what the store adds up: one for each value, or one for all."""

from dataclasses import dataclass, replace
from typing import Final

from multidict import MultiDict

from api.http.params import read_filter
from proxy.collector.watch.alerts.searches import narrowed, search_of
from proxy.settings.alert_model import AlertSettings
from storage.base import Storage
from storage.query import Filter, RecordQuery, SummaryQuery, TopQuery
from storage.record import format_id
from storage.search.cell import is_cell_field

ALL: Final = ""
"""The only value of an alert that is not apart by a field."""
MAX_EXAMPLES: Final = 3
"""Requests that a message names."""
_PERCENTILES: Final = {"p50": "p50_us", "p95": "p95_us", "p99": "p99_us"}


class IncompleteFigures(Exception):
    """The time budget of the store ended before all was added up: nothing follows from lower
    bounds.
    """

    def __init__(self) -> None:
        super().__init__("the store ran out of time: a shorter window or a plainer query helps")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of an alert."""

    value: float | None
    """None where there is none, as without requests."""
    search: str
    """Finds the requests that it is about."""


@dataclass(frozen=True, slots=True)
class _Sums:
    names: tuple[str | None, ...]
    """Of the group; none where an alert is not apart by a field."""
    requests: int
    cost_usd: float
    percentile_ms: float | None


async def read_figures(storage: Storage, alert: AlertSettings, now_us: int) -> dict[str, Figure]:
    """Read the figures of the window that ends now, by group.

    For what is missing the log has to reach back over the window: a new one has little of
    everything.

    Raises:
        IncompleteFigures: see there.
        StorageError: the store is away.
    """
    window_us = round(alert.window_s * 1_000_000)
    if alert.below is not None and not await _reaches_back(storage, now_us - window_us):
        return {}

    whole = await _sums(storage, alert, _filter(alert.query, now_us - window_us, now_us))
    other: dict[str, _Sums] = {}
    if alert.figure == "share":
        counted = narrowed(alert.query, alert.of)
        other = await _sums(storage, alert, _filter(counted, now_us - window_us, now_us))
    elif alert.figure == "change":
        other = await _sums(
            storage, alert, _filter(alert.query, now_us - 2 * window_us, now_us - window_us)
        )

    figures = {}
    for group, sums in whole.items():
        if sums.requests >= alert.min_requests:
            value = _value(alert, sums, other.get(group))
        else:
            value = None
        figures[group] = Figure(value, search_of(alert, sums.names))

    return figures


async def read_examples(storage: Storage, search: str, since_us: int, until_us: int) -> list[str]:
    """Return the ids of the newest requests of a search, `MAX_EXAMPLES` at most."""
    page = await storage.read(
        RecordQuery(filter=_filter(search, since_us, until_us), limit=MAX_EXAMPLES)
    )
    return [format_id(record.id) for record in page.records]


async def _reaches_back(storage: Storage, to_us: int) -> bool:
    older = RecordQuery(filter=Filter(kind="all", until_us=to_us), limit=1)
    return bool((await storage.read(older)).records)


def _value(alert: AlertSettings, sums: _Sums, other: _Sums | None) -> float | None:
    before = 0 if other is None else other.requests
    match alert.figure:
        case "count":
            return float(sums.requests)
        case "cost":
            return sums.cost_usd
        case "share":
            return before / sums.requests if sums.requests else None
        case "change":
            return sums.requests / before if before else None
        case _:
            return sums.percentile_ms


def _filter(query: str, since_us: int, until_us: int) -> Filter:
    read = read_filter(MultiDict({"query": query}), until_us)
    later = read.since_us
    earlier = read.until_us
    return replace(
        read,
        since_us=since_us if later is None else max(later, since_us),
        until_us=until_us if earlier is None else min(earlier, until_us),
    )


async def _sums(storage: Storage, alert: AlertSettings, filter: Filter) -> dict[str, _Sums]:
    name = _PERCENTILES.get(alert.figure, "p50_us")
    if alert.by:
        top = await storage.read(TopQuery(filter, alert.by))
        if not top.complete:
            raise IncompleteFigures
        return {
            _label(names): _Sums(
                names, row.exchanges, row.cost_nano_usd / 1e9, _ms(getattr(row.duration, name))
            )
            for row in top.rows
            for names in [row.names[:1] if is_cell_field(alert.by) else row.names]
            # A session that runs has cost before it is an exchange.
            if row.exchanges or alert.figure == "cost"
        }

    summary = await storage.read(SummaryQuery(filter, only_totals=alert.figure != "cost"))
    if not summary.complete:
        raise IncompleteFigures

    cost = sum(model.cost_usd or 0.0 for model in summary.models or ())
    return {ALL: _Sums((), summary.exchanges, cost, _ms(getattr(summary.duration, name)))}


def _label(names: tuple[str | None, ...]) -> str:
    return " ".join(name for name in names if name) or "none"


def _ms(value_us: int | None) -> float | None:
    return None if value_us is None else value_us / 1000
