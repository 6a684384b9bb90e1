"""Facets, histogram and summary of records in memory: their meaning, written down once, for tests."""

import operator
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from storage.aggregates import (
    BOUNDS_US,
    EXACT_ROWS,
    FACETS,
    FIRST_STEP,
    MAX_FACET_VALUES,
    MAX_TOP_VALUES,
    ROLLUP_FACETS,
    SAMPLE_ROWS,
    TOP_FIELDS,
    TOPS,
    FacetValue,
    Histogram,
    Latencies,
    ModelUsage,
    Names,
    Summary,
    Top,
    TopRow,
    TopSeries,
    class_name,
    most,
    most_frequent,
)
from storage.query import ROLLUP_METHODS, Filter, Scope, matches
from storage.record import Payload, Record
from storage.relational.rollup_sql import can_count, reduced
from storage.relational.tally import Tally, extent, narrowed
from storage.relational.time_ranges import has_whole_hours, is_in_hours, steps
from storage.relational.usage import calls_of, is_call, measures_of, models_of, with_calls
from storage.search.cell import group_names


def status_class(status: int | None) -> str:
    """Name the class of a status: `2xx`, or `none`."""
    return class_name(0 if status is None else status // 100)


def add(tally: Tally, record: Record) -> None:
    """Count one record."""
    tally.request_bytes += record.request_bytes
    tally.response_bytes += record.response_bytes
    if record.kind == "event":
        tally.events += 1
        return

    tally.add_class(status_class(record.status), 1)
    if record.latency_us is not None:
        measure(tally.duration, record.latency_us)
    if record.first_byte_us is not None:
        measure(tally.first_byte, record.first_byte_us)


def measure(latencies: Latencies, value_us: int) -> None:
    """Add one value, by its bucket and as itself."""
    one = Latencies.of([value_us])
    latencies.add(one.counts, one.least_us, one.most_us)
    latencies.values = sorted((*(latencies.values or ()), value_us))


def forget_values(exchanges: int, *measured: Latencies) -> None:
    """Leave only buckets where there are too many exchanges, or none."""
    if not 0 < exchanges <= EXACT_ROWS:
        for latencies in measured:
            latencies.values = None


class UsageTally:
    """Running sums by provider and model."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str | None, str | None], list[int]] = {}

    def add(self, provider: str | None, model: str | None, measures: list[int]) -> None:
        """Add the measures of one call."""
        known = self._sums.get((provider, model), [0] * len(measures))
        self._sums[provider, model] = [*map(operator.add, known, measures)]

    def models(self) -> list[ModelUsage]:
        """List the models, most called first."""
        return models_of((*key, measures) for key, measures in self._sums.items())


def count_usage(usage: UsageTally, record: Record) -> None:
    """Count one record, if it is an LLM call."""
    if is_call(record) and record.provider is not None:
        usage.add(record.provider, record.model, measures_of(record))


def is_sampled(records: Iterable[Record], filter: Filter) -> bool:
    """Whether some records of a filter stand for several."""
    return any(record.weight != 1 and matches(filter, record) for record in records)


def each_counted(records: Iterable[Record]) -> list[Record]:
    """List records as often as they count."""
    return [record for record in records for _ in range(round(record.weight))]


def facet_values(name: str, record: Record) -> list[str]:
    """Read the values a record has in a facet: one at most, but for tools and redactions; those a
    filter could name.
    """
    if name == "called_tool":
        if record.stream is None:
            return []
        return record.stream.tools or []
    if name == "tool_error":
        if record.stream is None:
            return []
        return [*dict.fromkeys(record.stream.failed_tools or ())]
    if name == "redacted":
        return list(record.redactions or ())

    value = facet_value(name, record)
    return [] if value is None else [str(value)]


def facet_value(name: str, record: Record) -> str | None:
    if name == "status":
        if record.status is None or record.status < 100:
            return None
        return status_class(record.status)
    if name == "finish_reason":
        if record.stream is None:
            return None
        return record.stream.finish_reason
    if name == "grpc_status":
        if record.grpc is None:
            return None
        return record.grpc.status_name

    value: str | None = getattr(record, FACETS[name])
    if name == "method" and value not in ROLLUP_METHODS:
        return None

    return value


def facets(
    records: Sequence[Record], filter: Filter, names: Sequence[str], limit: int = MAX_FACET_VALUES
) -> dict[str, list[FacetValue]]:
    """Find the values of facets."""
    is_whole = sum(matches(filter, record) for record in records) < SAMPLE_ROWS
    has_counts = can_count(filter, 0) and has_whole_hours(filter)
    wide = reduced(filter)
    by_filter = {
        wanted: [record for record in records if matches(wanted, record)]
        for wanted in {filter, wide}
    }
    answer = {}

    for name in names:
        is_counted = is_whole or (has_counts and name in ROLLUP_FACETS)
        counts = _count(name, by_filter[wide if name in ROLLUP_FACETS and not is_whole else filter])
        found = most_frequent(counts, limit)
        sampled = is_counted and is_sampled(records, filter)
        answer[name] = [
            FacetValue(value, count if is_counted else None, sampled) for value, count in found
        ]

    return answer


def histogram(
    records: Sequence[Record],
    filter: Filter,
    since_us: int,
    until_us: int,
    buckets: int,
) -> Histogram:
    """Count records over time."""
    step, starts = steps(since_us, until_us, buckets, is_long=False)
    tallies = [Tally() for _ in starts]
    wanted = narrowed(filter, since_us, until_us)
    for record in records:
        if matches(wanted, record):
            add(tallies[bisect_right(starts, record.started_at_us) - 1], record)
    exchanges = sum(tally.exchanges for tally in tallies)
    sampled = is_sampled(records, wanted)
    forget_values(0 if sampled else exchanges, *(tally.duration for tally in tallies))
    shown = [tally.bucket(start) for tally, start in zip(tallies, starts, strict=True)]
    return Histogram(shown, step, complete=True, sampled=sampled)


HeatMap = tuple[list[tuple[int, int | None]], list[list[int]]]
"""Bounds of rows, and counts by column and row."""


def heat_map(
    records: Sequence[Record], filter: Filter, since_us: int, until_us: int, columns: int, rows: int
) -> HeatMap:
    """Count exchanges by time and duration, bucket by bucket, row by row."""
    _, starts = steps(since_us, until_us, columns, is_long=False)
    wanted = (
        narrowed(replace(filter, kind="exchange"), since_us, until_us)
        if filter.kind != "event"
        else filter
    )
    found = [
        record for record in records if record.latency_us is not None and matches(wanted, record)
    ]
    bounds = rows_of([record.duration_us for record in found], rows)
    counts = [[0] * len(bounds) for _ in starts]

    for record in found:
        column = counts[bisect_right(starts, record.started_at_us) - 1]
        [row] = [
            row
            for row, (low, high) in enumerate(bounds)
            if is_between(record.duration_us, low, high)
        ]
        column[row] += 1

    return bounds, counts


def rows_of(durations_us: list[int], max_rows: int) -> list[tuple[int, int | None]]:
    """Find the narrowest rows, doubling their width, that are few enough from the shortest duration
    to the longest.
    """
    width = 1
    while True:
        ends = [
            -1,
            *(bound for step, bound in enumerate(BOUNDS_US, FIRST_STEP) if step % width == 0),
        ]
        rows: list[tuple[int, int | None]] = [(low + 1, high) for low, high in pairwise(ends)]
        rows.append((ends[-1] + 1, None))
        used = [
            place
            for place, row in enumerate(rows)
            if any(is_between(value, *row) for value in durations_us)
        ]
        if not used or used[-1] - used[0] < max_rows:
            return rows[used[0] : used[-1] + 1] if used else []

        width *= 2


def is_between(value: int, low: int, high: int | None) -> bool:
    return value >= low and (high is None or value <= high)


def summary(records: Sequence[Record], filter: Filter, *, only_totals: bool = False) -> Summary:
    """Add up all records of a filter."""
    tally = Tally()
    usage = UsageTally()
    found = [record for record in records if matches(filter, record)]
    for record in found:
        add(tally, record)
    tally.sampled = is_sampled(records, filter)
    forget_values(0 if tally.sampled else tally.exchanges, tally.duration, tally.first_byte)
    calls = calls_of(filter)
    for record in records:
        if matches(calls, record):
            count_usage(usage, record)
    models = usage.models()
    top = {name: _top(name, found) for name in TOPS}
    start, end = extent(filter, *_range_of(records, filter.scope))
    if only_totals:
        return tally.summary(start, end, {}, None, complete=True)

    return tally.summary(start, end, top, models, complete=True)


def _range_of(records: Sequence[Record], scope: Scope) -> tuple[int | None, int | None]:
    """Of all, when the oldest and the newest started; of a scope, when its first and its last did."""
    if scope.is_everything:
        times = [record.started_at_us for record in records]
        return min(times, default=None), max(times, default=None)
    filter = Filter(scope=scope, kind="all")
    own = sorted(
        (record.seq, record.started_at_us) for record in records if matches(filter, record)
    )
    return (own[0][1], own[-1][1]) if own else (None, None)


def top(
    records: Sequence[Record],
    filter: Filter,
    by: str,
    payloads: Mapping[int, Payload] | None = None,
) -> Top:
    """Add up the exchanges of a filter by one of `TOP_FIELDS`, or by a field of their payloads."""
    found: dict[Names, TopRow] = {}
    wanted = with_calls(filter)
    for record in records:
        if not matches(wanted, record):
            continue
        payload = (payloads or {}).get(record.seq)
        names = top_names(record, by) if by in TOP_FIELDS else group_names(payload, by)
        *_, input_tokens, output_tokens, _, _, _, cost = measures_of(record)
        row = found.setdefault(names, TopRow(names))
        row.input_tokens += input_tokens
        row.output_tokens += output_tokens
        row.cost_nano_usd += cost
        if record.kind != "event":
            row.exchanges += 1
            row.client_errors += (record.status or 0) // 100 == 4
            row.server_errors += (record.status or 0) // 100 == 5
            row.request_bytes += record.request_bytes
            row.response_bytes += record.response_bytes
            row.durations.values = row.durations.values or []
            if record.latency_us is not None:
                measure(row.durations, record.latency_us)
            row.sampled |= record.weight != 1

    seen = sum(row.exchanges for row in found.values())
    found = {names: row for names, row in found.items() if not row.is_empty}
    is_exact = not any(row.sampled for row in found.values())
    forget_values(seen if is_exact else 0, *(row.durations for row in found.values()))
    return Top(most(found.values()), seen, complete=True)


def top_names(record: Record, by: str) -> Names:
    """Read the values of a field; methods that clients invented are none."""
    values = (getattr(record, column) for column in TOP_FIELDS[by])
    names = tuple(None if value is None else str(value) for value in values)
    if by == "endpoint" and record.method not in ROLLUP_METHODS:
        return (None, *names[1:])
    return names


def top_series(
    records: Sequence[Record], filter: Filter, by: str, since_us: int, until_us: int, buckets: int
) -> TopSeries:
    """Count the exchanges of a filter in each step, by one of `TOP_FIELDS`."""
    step, starts = steps(since_us, until_us, buckets, is_long=is_in_hours(since_us, until_us))
    wanted = narrowed(filter, since_us, until_us)
    counts: dict[Names, list[int]] = {}

    for record in records:
        if record.kind == "exchange" and matches(wanted, record):
            names = top_names(record, by)
            counts.setdefault(names, [0] * len(starts))[
                (record.started_at_us - starts[0]) // step
            ] += 1

    sampled = is_sampled(records, wanted)
    return TopSeries(
        starts[0] if starts else since_us, step, counts, complete=True, sampled=sampled
    )


def is_failure(record: Record) -> bool:
    """Whether a record counts among failures: an exchange of level warn or error."""
    return record.kind == "exchange" and record.level in ("warn", "error")


def _count(name: str, records: Iterable[Record]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for record in records:
        for value in facet_values(name, record):
            counts[value] = counts.get(value, 0) + 1
    return counts


def _top(name: str, records: Iterable[Record]) -> list[FacetValue]:
    among = (record for record in records if name != "error_type" or is_failure(record))
    return [
        FacetValue(value, count)
        for value, count in most_frequent(_count(name, among), MAX_TOP_VALUES)
    ]
