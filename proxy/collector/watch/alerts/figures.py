"""Reads the values of an alert from the store: one per value of a field, or one in all."""

from dataclasses import dataclass
from typing import Final

from multidict import MultiDict

from api.http.paging import reaches_back
from api.http.params import read_filter
from proxy.collector.watch.alerts.searches import joined, query_of, search_of
from proxy.settings.model import AlertSettings
from storage.aggregates import Percentiles, most
from storage.base import Storage
from storage.query import Filter, RecordQuery, SummaryQuery, TopQuery
from storage.record import format_id
from storage.relational.tally import narrowed
from storage.search.cell import is_cell_field

ALL: Final = ""
"""The only group of an alert without a field."""
MAX_EXAMPLES: Final = 3
"""Number of requests that a message names."""


class IncompleteFigures(Exception):
    """The store ran out of time, so the values are lower bounds and decide nothing."""

    def __init__(self) -> None:
        super().__init__("the store ran out of time: a shorter window or a plainer query helps")


@dataclass(frozen=True, slots=True)
class Figure:
    """The value of one group of an alert."""

    value: float | None
    """None if undefined, such as a percentile of no requests."""
    search: str
    """Finds the requests of the group."""
    sampled: bool = False
    """Whether it is an estimate, because sampled records stand for several."""


@dataclass(frozen=True, slots=True)
class _Sums:
    names: tuple[str | None, ...]
    """Values of the group, by column; empty without a field."""
    requests: int
    cost_usd: float
    percentile_ms: float | None
    sampled: bool


async def read_figures(storage: Storage, alert: AlertSettings, now_us: int) -> dict[str, Figure]:
    """Read the values of the window that ends now, by group.

    Raises:
        IncompleteFigures: The store ran out of time.
        StorageError: The store is away.
    """
    window_us = round(alert.window_s * 1_000_000)
    since_us = now_us - window_us
    # A log that is younger than the window has too little of everything.
    if alert.below is not None and not await reaches_back(storage, since_us - 1):
        return {}

    query = query_of(alert)
    sums_by_group = await _sums(storage, alert, _filter(query, since_us, now_us))
    compared: dict[str, _Sums] = {}
    if alert.figure == "share":
        part = joined(query, alert.of)
        compared = await _sums(storage, alert, _filter(part, since_us, now_us))
    elif alert.figure == "change":
        before = _filter(query, since_us - window_us, since_us)
        compared = await _sums(storage, alert, before)

    figures = {}
    for group, sums in sums_by_group.items():
        value = None
        if sums.requests >= alert.min_requests:
            value = _value(alert, sums, compared.get(group))
        sampled = sums.sampled or (group in compared and compared[group].sampled)
        figures[group] = Figure(value, search_of(alert, sums.names), sampled)

    return figures


async def read_examples(storage: Storage, search: str, since_us: int, until_us: int) -> list[str]:
    """Return the ids of the newest requests that a search finds, up to `MAX_EXAMPLES`."""
    filter = _filter(search, since_us, until_us)
    page = await storage.read(RecordQuery(filter=filter, limit=MAX_EXAMPLES))
    return [format_id(record.id) for record in page.records]


def _value(alert: AlertSettings, sums: _Sums, compared: _Sums | None) -> float | None:
    others = 0 if compared is None else compared.requests
    match alert.figure:
        case "count":
            return float(sums.requests)
        case "cost":
            return sums.cost_usd
        case "share":
            return others / sums.requests if sums.requests else None
        case "change":
            return sums.requests / others if others else None
        case _:
            return sums.percentile_ms


def _filter(query: str, since_us: int, until_us: int) -> Filter:
    """Return the filter of a search within a period; the search itself may narrow the period."""
    return narrowed(read_filter(MultiDict({"query": query}), until_us), since_us, until_us)


async def _sums(storage: Storage, alert: AlertSettings, filter: Filter) -> dict[str, _Sums]:
    if alert.by:
        return await _sums_by_group(storage, alert, filter)

    summary = await storage.read(SummaryQuery(filter, only_totals=alert.figure != "cost"))
    if not summary.complete:
        raise IncompleteFigures

    cost_usd = sum(model.cost_usd or 0.0 for model in summary.models or ())
    percentile_ms = _percentile_ms(alert, summary.duration)
    return {ALL: _Sums((), summary.exchanges, cost_usd, percentile_ms, summary.sampled)}


async def _sums_by_group(
    storage: Storage, alert: AlertSettings, filter: Filter
) -> dict[str, _Sums]:
    top = await storage.read(TopQuery(filter, alert.by))
    if not top.complete:
        raise IncompleteFigures

    if is_cell_field(alert.by):
        # Requests without a value are one group, whatever the reason that they have none.
        rows = most(top.rows, lambda names: names[:1])
    else:
        rows = top.rows

    found = {}
    for row in rows:
        # A session that runs has cost before it is an exchange.
        if row.exchanges or alert.figure == "cost":
            cost_usd = row.cost_nano_usd / 1e9
            percentile_ms = _percentile_ms(alert, row.duration)
            sums = _Sums(row.names, row.exchanges, cost_usd, percentile_ms, row.sampled)
            found[_label(row.names)] = sums
    return found


def _label(names: tuple[str | None, ...]) -> str:
    return " ".join(name for name in names if name) or "none"


def _percentile_ms(alert: AlertSettings, duration: Percentiles) -> float | None:
    """Return the percentile of an alert in ms; None for an alert about another metric."""
    value_us = getattr(duration, f"{alert.figure}_us", None)
    return None if value_us is None else value_us / 1000
