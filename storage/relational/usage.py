"""Use of language models: calls, tokens and cost by provider and model; whole hours from a small
rollup.

Strategy: as in `storage.relational.rollups`, the calls of a batch are added up in memory, by hour
and dimensions, and a backend merges the sums in its transaction. They are few, so there is no tier
of days. The rollup has the records of LLM calls, and records with a model but no provider: those
are not calls, but are counted by model.

Invariant: a row of the rollup is the exact sum of the counted LLM calls of its hour and
dimensions, without those that retention and erasure removed; cost is in billionths of a dollar.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from storage.aggregates import ModelUsage
from storage.conversations import TOKENS as TOKENS
from storage.query import Filter
from storage.record import Record
from storage.relational.rollup_sql import columns_of, is_known
from storage.relational.rollups import (
    LIMITED,
    MAX_COST_USD,
    MAX_TOKENS,
    NANO,
    ValueLimits,
    cost_nano_usd,
)
from storage.relational.time_ranges import HOUR_US
from storage.relational.weights import weight_code
from storage.search.expression import Has, asked_values, both, conjuncts

DIMENSIONS: Final = (*LIMITED, "provider", "model", "resolved_model")
"""The keys of usage, besides time; the first of them are those of the rollups."""
KEYS: Final = (*DIMENSIONS, "weight")
"""The columns of the table's key, after the hour."""
MEASURES: Final = ("calls", "counted", "priced", *TOKENS, "cost_nano_usd")
"""Whole numbers, so that subtraction leaves no remainder."""
OTHERS: Final = "other"
"""The name of all values beyond the limits."""
CAPPED_SHIFT: Final = 16
"""The bits of `DIMENSIONS` in the store's `capped_dimensions` begin here; the lower bits are those
of the rollups.
"""
_EVENTS_SHIFT: Final = CAPPED_SHIFT + len(DIMENSIONS)
HAS_EVENTS: Final = 1 << _EVENTS_SHIFT
"""The bit of a store with calls in its rollup that may be events."""

Key = tuple[int, ...]
"""Hour, `KEYS`."""
Measures = list[int]
"""In the order of `MEASURES`."""


def is_call(record: Record) -> bool:
    """Return True if the rollup has a record: an LLM call, or a record with a model but no
    provider.
    """
    return (
        record.provider is not None or record.model is not None or record.resolved_model is not None
    )


def with_calls(filter: Filter) -> Filter:
    """Return a filter with both kinds of records, as calls are exchanges or messages of a session;
    a filter of events stays one.
    """
    if filter.kind == "event":
        return filter
    return replace(filter, kind="all")


def calls_of(filter: Filter) -> Filter:
    """Return the filter of the calls that belong to a filter."""
    return replace(with_calls(filter), where=both(filter.where, Has("provider")))


def has_events(capped_dimensions: int) -> bool:
    """Return True if the rollup has calls that are events; it does not distinguish them from
    exchanges.
    """
    return bool(capped_dimensions >> _EVENTS_SHIFT & 1)


def limits() -> ValueLimits:
    """Make the limits of usage, on the values of its dimensions with separate counts in an hour."""
    return ValueLimits(places=range(len(DIMENSIONS)))


def can_count(filter: Filter, capped_dimensions: int) -> bool:
    """Return True if the rollup can count the usage of a filter, without its time. It does not
    distinguish events from exchanges.
    """
    if filter.kind == "event":
        return False
    capped = capped_dimensions >> CAPPED_SHIFT
    columns = columns_of(filter)
    return is_known(columns, DIMENSIONS) and not any(
        capped >> DIMENSIONS.index(name) & 1 for name in columns or ()
    )


def counts_calls(filter: Filter) -> bool:
    """True if all records of a filter are in the rollup."""
    asked = conjuncts(filter.where)
    is_call = Has("provider") in asked or any(
        asked_values(filter.where, name) for name in ("provider", "any_model")
    )
    return filter.kind == "exchange" and is_call


class UsageSums:
    """The LLM calls that are added to the table, or subtracted, in one transaction."""

    def __init__(self) -> None:
        self._sums: dict[Key, Measures] = {}
        self._has_events = False

    def __bool__(self) -> bool:
        return bool(self._sums)

    @property
    def hours(self) -> set[int]:
        return {key[0] for key in self._sums}

    def add(self, record: Record, dimensions: Sequence[int]) -> None:
        """Count one call; its dimensions are ids in the order of `DIMENSIONS`, 0 for null."""
        key = (record.started_at_us // HOUR_US, *dimensions, weight_code(record.weight))
        _add(self._sums.setdefault(key, [0] * len(MEASURES)), measures_of(record))
        self._has_events |= record.kind == "event"

    def admitted(self, limits: ValueLimits) -> tuple[dict[Key, Measures], int]:
        """Return the sums within limits that know all `hours`, and the store's bits of the
        dimensions that have `OTHERS`.
        """
        admitted: dict[Key, Measures] = {}
        capped = 0
        for (hour, *dimensions, weight), measures in sorted(self._sums.items()):
            kept, bits = limits.admit(hour, tuple(dimensions))
            capped |= bits
            _add(admitted.setdefault((hour, *kept, weight), [0] * len(MEASURES)), measures)

        return admitted, capped << CAPPED_SHIFT | self._has_events << _EVENTS_SHIFT


def models_of(found: Iterable[tuple[str | None, str | None, Sequence[int]]]) -> list[ModelUsage]:
    """List models, the most called first, given their providers, names and measures."""
    return sorted(
        (
            _usage(provider, model, measures)
            for provider, model, measures in found
            if measures[0] > 0
        ),
        key=lambda usage: (
            -usage.calls,
            usage.provider or "",
            usage.model is not None,
            usage.model or "",
        ),
    )


def total(models: Iterable[ModelUsage]) -> ModelUsage:
    measures: Measures = [0] * len(MEASURES)
    for model in models:
        _add(
            measures,
            (
                *(getattr(model, name) for name in MEASURES[:-1]),
                round((model.cost_usd or 0) * NANO),
            ),
        )

    return _usage(None, None, measures)


# Some databases would give a bare number an unsigned type.
_MOST: Final = f"CAST({MAX_TOKENS} AS BIGINT)"


def token_sum(name: str) -> str:
    """Write the sum of a column of tokens of rows."""
    return f"sum(CASE WHEN {name} > {_MOST} THEN {_MOST} ELSE coalesce({name}, 0) END)"


def cost_sum() -> str:
    """Write the sum of the cost of rows, each as in `storage.relational.rollups.cost_nano_usd`."""
    return (
        f"sum(CASE WHEN cost_usd > {MAX_COST_USD} THEN CAST({MAX_COST_USD * NANO} AS BIGINT) "
        f"ELSE CAST(round(coalesce(cost_usd, 0) * {NANO}) AS BIGINT) END)"
    )


def measures_of(record: Record) -> Measures:
    tokens = [getattr(record, name) for name in TOKENS]
    has_tokens = any(count is not None for count in tokens)
    counts = (min(count or 0, MAX_TOKENS) for count in tokens)
    return [1, int(has_tokens), int(record.cost_usd is not None), *counts, cost_nano_usd(record)]


def _usage(provider: str | None, model: str | None, measures: Sequence[int]) -> ModelUsage:
    *counts, cost = measures
    usage = ModelUsage(
        provider=provider, model=model, **dict(zip(MEASURES[:-1], counts, strict=True))
    )
    if usage.priced:
        return replace(usage, cost_usd=cost / NANO)
    return usage


def _add(sums: Measures, measures: Iterable[int]) -> None:
    for place, measure in enumerate(measures):
        sums[place] += measure
