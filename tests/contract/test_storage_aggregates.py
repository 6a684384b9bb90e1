"""Facets, histogram and summary of every backend, judged by `storage.relational.tally`, their
meaning.
"""

import asyncio
import functools
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from api.native.aggregates import fold
from storage.aggregates import (
    FACETS,
    MAX_FACET_LIMIT,
    SAMPLE_ROWS,
    TOP_FIELDS,
    Histogram,
    Top,
    TopSeries,
)
from storage.base import Storage
from storage.query import (
    FacetQuery,
    Filter,
    HistogramQuery,
    Scope,
    SeriesQuery,
    SummaryQuery,
    TopQuery,
)
from storage.record import Batch, Entry, Payload, Record
from storage.relational.reads import aggregate
from storage.relational.time_ranges import HOUR_US
from storage.search.expression import And, Is, Or
from tests.contract.backends import JUDGED, USUAL, Backend
from tests.contract.listing import of_store
from tests.contract.test_storage_reading import Reader, make_dataset
from tests.storage.samples import START_US, make_batch, make_body, make_record
from tests.support import memory_aggregates as model
from tests.support.filters import make_filter

HOUR = START_US // HOUR_US * HOUR_US
FILTERS = (
    Filter(kind="all"),
    Filter(),
    Filter(kind="event"),
    make_filter(projects=("a", "b")),
    Filter(scope=Scope(projects=("a",), containers=("a",)), kind="all"),
    make_filter(scope=Scope(projects=("a",)), routes=("a", "")),
    make_filter(levels=("warn", "error"), status_classes=(4, 5)),
    make_filter(levels=("debug",)),
    make_filter(statuses=(404,)),
    make_filter(hosts=("a",), methods=("GET", "BREW")),
    make_filter(hosts=("a", ""), kind="all"),
    make_filter(error_types=("a",), levels=("error",)),
    make_filter(
        hosts=("b",), error_types=("a", "b"), projects=("a", "b"), routes=("a", "A"), kind="event"
    ),
    make_filter(statuses=(404, 0), status_classes=(5, 9), scope=Scope(clients=("a",))),
    make_filter(statuses=(200, 500), since_us=HOUR + HOUR_US, until_us=HOUR + 40 * HOUR_US),
    make_filter(keyed=True, status_classes=(2,)),
    make_filter(keyed=True, statuses=(999,), containers=("a",)),
    make_filter(models=("a",)),
    make_filter(models=("a", "b"), is_llm=True),
    make_filter(models=("b",), finish_reasons=("a", "A")),
    make_filter(called_tools=("a,", "ä"), kind="all"),
    make_filter(methods=("GET",), keys=("a",)),
    make_filter(path_contains="items", kind="all"),
    make_filter(projects=("unknown",)),
    Filter(since_us=HOUR + HOUR_US, until_us=HOUR + 3 * HOUR_US),
    Filter(since_us=HOUR + HOUR_US + 7, until_us=HOUR + 3 * HOUR_US - 5, kind="all"),
    make_filter(since_us=HOUR + HOUR_US // 2, kind="all", services=("a", "A")),
    make_filter(until_us=HOUR + 2 * HOUR_US - 1, projects=("a",)),
    Filter(since_us=START_US + 5, until_us=START_US + 60_000_000),
    Filter(since_us=-(1 << 70), until_us=1 << 70),
    Filter(seq_after=30, seq_until=200, kind="all"),
)
ENDPOINT_FILTERS = (
    make_filter(endpoints=("a", "A"), kind="all"),
    make_filter(
        endpoints=("a",), methods=("GET",), levels=("info", "warn"), scope=Scope(projects=("a",))
    ),
    make_filter(endpoints=("", "unknown"), status_classes=(2, 5)),
    make_filter(
        endpoints=("a", "b"), since_us=HOUR + HOUR_US // 2, until_us=HOUR + 28 * HOUR_US + 5
    ),
    make_filter(endpoints=("a",), statuses=(404,)),
    Filter(
        where=Or(
            (Is("endpoint", ("a",)), And((Is("endpoint", ("b", "A")), Is("route_id", ("a",)))))
        )
    ),
)
"""Some of which only the rollups by endpoint can tell, and only in part."""


SERIES_FIELDS = ("endpoint", "client_ip", "key", "status", "route")
SERIES_RANGES = (
    (HOUR, HOUR + 30 * HOUR_US, 7),
    (START_US + 1, START_US + 28 * HOUR_US + 5, 30),
    (START_US - 100 * HOUR_US, START_US + 50 * HOUR_US, 4),
    (START_US + 1, START_US + 100_000_001, 30),
    (START_US, START_US, 5),
)
"""Beginning, end and how many steps."""
HISTOGRAM_RANGES = (
    (HOUR, HOUR + 30 * HOUR_US, 30),
    (HOUR, HOUR + 30 * HOUR_US, 7),
    (HOUR + 17, HOUR + 5 * HOUR_US - 1, 4),
    (START_US, START_US + HOUR_US, 60),
    (START_US + 1, START_US + 100_000_001, 7),
    (HOUR - 200 * HOUR_US, HOUR + 200 * HOUR_US, 10),
    (START_US, START_US, 10),
    (START_US + HOUR_US, START_US, 10),
)
HEAT_MAPS = (
    (HOUR, HOUR + 30 * HOUR_US, 30, 60),
    (HOUR - 200 * HOUR_US, HOUR + 200 * HOUR_US, 10, 7),
    (START_US + 1, START_US + 100_000_001, 120, 3),
    (HOUR + 17, HOUR + 5 * HOUR_US - 1, 4, 1),
    (START_US, START_US, 10, 30),
)
"""Beginning, end, how many columns and rows."""


@functools.cache
def dataset() -> list[Record]:
    """Make the records once, numbered as the stores number them; a day lies between the halves."""
    records = make_dataset()
    for number, record in enumerate(records):
        record.seq = number + 1
        if number % 2:
            record.started_at_us += 26 * HOUR_US
    return records


@functools.cache
def expected_top(filter: Filter, by: str) -> Top:
    return model.top(dataset(), filter, by)


@functools.cache
def expected_series(filter: Filter, by: str, range: tuple[int, int, int]) -> TopSeries:
    return model.top_series(dataset(), filter, by, *range)


@functools.cache
def expected_histogram(filter: Filter, range: tuple[int, int, int]) -> Histogram:
    return model.histogram(dataset(), filter, *range)


@functools.cache
def expected_heat_map(filter: Filter, range: tuple[int, int, int, int]) -> model.HeatMap:
    return model.heat_map(dataset(), filter, *range)


@pytest.fixture(params=JUDGED, ids=lambda backend: backend.name, scope="module")
def reader(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reader]:
    """Every backend in turn, filled once."""
    directory: Path = tmp_path_factory.mktemp("store")
    with asyncio.Runner() as runner:
        store: Storage = runner.run(request.param.open(directory))
        records = dataset()
        for start in range(0, len(records), 50):
            runner.run(store.commit(make_batch(*records[start : start + 50])))
        yield Reader(runner, store, records)
        runner.run(store.close())


@pytest.fixture
def filter(request: pytest.FixtureRequest, reader: Reader) -> Filter:
    """A filter with bounds on the numbers that the store gave."""
    return of_store(request.param, reader.records)


@pytest.mark.parametrize("filter", FILTERS, indirect=True)
def test_facets_of_few_records_are_counted(reader: Reader, filter: Filter) -> None:
    """Every facet has the values of its records, most frequent first, with their counts whatever
    the filter.
    """
    found = reader.wait(reader.store.read(FacetQuery(filter, tuple(FACETS))))
    assert found == model.facets(reader.records, filter, tuple(FACETS))
    assert all(value.count is not None for values in found.values() for value in values)


@pytest.mark.parametrize("backend", USUAL, ids=lambda backend: backend.name)
async def test_facets_of_many_records_are_counted_where_rollups_can_tell(
    backend: Backend, tmp_path: Path
) -> None:
    """Beyond so many rows a count is there in whole hours of the rollups' facets, and null
    elsewhere.
    """
    records = [
        make_record(started_at_us=HOUR + number, host=f"h{number % 3}")
        for number in range(SAMPLE_ROWS)
    ]
    store: Storage = await backend.open(tmp_path)
    async with store:
        for start in range(0, SAMPLE_ROWS, 1000):
            await store.commit(make_batch(*records[start : start + 1000]))
        for filter, is_counted in (
            (Filter(), True),
            (Filter(since_us=HOUR), True),
            (Filter(since_us=HOUR - 1), False),
        ):
            found = await store.read(FacetQuery(filter, ("status", "host")))
            assert found == model.facets(records, filter, ("status", "host"))
            assert [value.count for value in found["status"]] == [
                SAMPLE_ROWS if is_counted else None
            ]
            assert [value.count for value in found["host"]] == [None] * 3

        found = await store.read(FacetQuery(Filter(since_us=HOUR + 1), ("status", "host")))
        assert sum(value.count or 0 for value in found["host"]) == SAMPLE_ROWS - 1


@pytest.mark.parametrize("backend", USUAL, ids=lambda backend: backend.name)
async def test_records_of_hours_that_are_over_are_counted_once(
    backend: Backend, tmp_path: Path
) -> None:
    """However their hours came to be in days: one after another, late, many at once, or erased in
    between.
    """
    store: Storage = await backend.open(tmp_path)
    records: list[Record] = []

    async def add(*hours: int) -> None:
        some = [
            make_record(started_at_us=HOUR + hour * HOUR_US, project="ab"[hour % 2])
            for hour in hours
        ]
        await store.commit(make_batch(*some))
        records.extend(some)

    async def check() -> None:
        for first, until in ((None, None), (0, None), (3, 51), (None, 30), (24, 48), (1, 2)):
            filter = Filter(
                since_us=None if first is None else HOUR + first * HOUR_US,
                until_us=None if until is None else HOUR + until * HOUR_US,
            )
            assert await store.read(SummaryQuery(filter)) == model.summary(records, filter)

    async with store:
        for hour in range(30):
            await add(hour, hour)
        await check()
        await add(2, 4, 28, 29)
        await check()
        await store.erase(make_filter(projects=("b",), until_us=HOUR + 10 * HOUR_US))
        records = [
            record
            for record in records
            if record.project == "a" or record.started_at_us >= HOUR + 10 * HOUR_US
        ]
        await check()
        await add(*range(40, 70))
        await add(69)
        await check()


@pytest.mark.parametrize("backend", USUAL, ids=lambda backend: backend.name)
async def test_a_connection_counts_without_its_duration(backend: Backend, tmp_path: Path) -> None:
    """A WebSocket and a tunnel last as long as somebody talks: both are exchanges, and no figure of
    durations has them, in whole hours or in part, grouped by a column or by a header.
    """
    lasting = {"route_id": "chat", "duration_us": HOUR_US, "first_byte_us": None}
    records = [
        make_record(route_id="shop", method="CONNECT", status=502),
        make_record(route_id="shop", duration_us=900),
        make_record(**lasting, status=101),
        make_record(**lasting, method="CONNECT"),
    ]
    filters = Filter(), Filter(since_us=START_US - 1, until_us=START_US + 1)
    store: Storage = await backend.open(tmp_path)
    async with store:
        await store.commit(make_batch(*records))
        for filter in filters:
            summary = await store.read(SummaryQuery(filter))
            assert (summary.exchanges, summary.duration.p99_us) == (4, 900)
            for by in ("route", "header.x-tenant"):
                assert await store.read(TopQuery(filter, by)) == model.top(records, filter, by)

        await store.erase(make_filter(routes=("chat",)))
        for filter in filters:
            assert await store.read(SummaryQuery(filter)) == model.summary(records[:2], filter)


def test_a_facet_shows_nothing_out_of_scope(reader: Reader) -> None:
    """Whatever the filter, the values of other tenants are not listed, even where nothing can be
    counted.
    """
    scoped = make_filter(scope=Scope(projects=("b",)), path_contains="items")
    found = reader.wait(reader.store.read(FacetQuery(scoped, ("project", "host", "error_type"))))
    assert [value.value for value in found["project"]] == ["b"]
    hosts = {record.host for record in reader.records if record.project == "b"}
    assert {value.value for value in found["host"]} <= hosts


@pytest.mark.parametrize("filter", [*FILTERS, *ENDPOINT_FILTERS], indirect=True)
def test_top_adds_up_by_a_field(reader: Reader, filter: Filter) -> None:
    """Each value of a field has the sums of its exchanges, most frequent first, and nothing out of
    scope is there.
    """
    found = {by: reader.wait(reader.store.read(TopQuery(filter, by))) for by in TOP_FIELDS}
    assert found == {by: expected_top(filter, by) for by in TOP_FIELDS}


@pytest.mark.parametrize("backend", USUAL, ids=lambda backend: backend.name)
async def test_top_groups_by_what_heads_and_bodies_hold(backend: Backend, tmp_path: Path) -> None:
    """Each record is in one group: of its value, or of the reason why it has none; scopes and
    searches hold.
    """
    bodies = [
        b'{"user":{"id":1}}',
        b'{"user":{"id":"2"}}',
        b'{"user":{"id":null}}',
        b"{}",
        b"no json",
        None,
    ]
    entries = []
    for number in range(300):
        body = bodies[number % len(bodies)]
        head = b"GET / HTTP/1.1\r\nX-Tenant: t%d" % (number % 2)
        payload = Payload(head, b"HTTP/1.1 200 OK", None if body is None else make_body(body), None)
        entries.append(
            Entry(make_record(project="ab"[number % 2], status=500 if number % 3 else 200), payload)
        )

    store: Storage = await backend.open(tmp_path)
    async with store:
        await store.commit(Batch("sidecar-1", [*entries, Entry(make_record())]))
        found = await store.read(TopQuery(Filter(), "body.user.id"))
        assert [(row.names, row.exchanges) for row in found.rows] == [
            ((None, "absent"), 100), ((None, "not_json"), 50), ((None, "null"), 50), (("1", "known"), 50),
            (("2", "known"), 50), ((None, "not_kept"), 1),
        ]  # fmt: skip
        assert (found.seen, found.complete) == (301, True)
        filter = Filter(scope=Scope(projects=("b",)), where=Is("header.x-tenant", ("t1",)))
        scoped = await store.read(TopQuery(filter, "header.x-tenant"))
        assert [(row.names, row.exchanges) for row in scoped.rows] == [(("t1", "known"), 150)]
        assert (scoped.rows[0].server_errors, scoped.rows[0].duration.p50_us is not None) == (
            100,
            True,
        )
        # A call within a session is an event that has the head of its connection.
        heard = Payload(b"GET / HTTP/1.1\r\nX-Tenant: t1", b"", None, None)
        call = make_record(kind="event", name="websocket_message", project="b", input_tokens=7)
        message = make_record(kind="event", name="websocket_message", project="b")
        await store.commit(Batch("sidecar-1", [Entry(call, heard), Entry(message, heard)]))
        again = await store.read(TopQuery(filter, "header.x-tenant"))
        assert [(row.exchanges, row.input_tokens) for row in again.rows] == [(150, 7)]
        assert (again.seen, again.rows[0].duration) == (150, scoped.rows[0].duration)


@pytest.mark.parametrize("filter", [*FILTERS, *ENDPOINT_FILTERS], indirect=True)
def test_top_series_count_each_step(reader: Reader, filter: Filter) -> None:
    """Each value of a field has its exchanges step by step, and nothing out of scope or range is
    there.
    """
    cases = list(itertools.product(SERIES_FIELDS, SERIES_RANGES))
    found = {
        (by, range): reader.wait(reader.store.read(SeriesQuery(filter, by, *range)))
        for by, range in cases
    }
    assert found == {(by, range): expected_series(filter, by, range) for by, range in cases}


def test_a_top_series_of_too_many_numbers_is_counted_by_rows(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where rollups would tell more numbers than are read at once."""
    since_us = HOUR + 5
    until_us = HOUR + 40 * HOUR_US
    expected = model.top_series(reader.records, Filter(), "endpoint", since_us, until_us, 30)
    monkeypatch.setattr("storage.relational.reads.aggregate.MAX_CELLS", 3)
    assert (
        reader.wait(reader.store.read(SeriesQuery(Filter(), "endpoint", since_us, until_us, 30)))
        == expected
    )


def test_an_unknown_facet_is_refused(reader: Reader) -> None:
    """A facet that does not exist is an error of the caller."""
    with pytest.raises(ValueError, match="unknown facet 'moon'"):
        reader.wait(reader.store.read(FacetQuery(Filter(), ("moon",))))


@pytest.mark.parametrize("filter", FILTERS, indirect=True)
def test_a_histogram_counts_each_step(reader: Reader, filter: Filter) -> None:
    """Steps cover the range without gaps, and count exactly the filter's records in it."""
    found = {
        range: reader.wait(reader.store.read(HistogramQuery(filter, *range)))
        for range in HISTOGRAM_RANGES
    }
    assert found == {range: expected_histogram(filter, range) for range in HISTOGRAM_RANGES}
    for (_, _, buckets), histogram in found.items():
        assert len(histogram.buckets) <= buckets + 1
        starts = [bucket.start_us for bucket in histogram.buckets]
        assert all(
            after - before == histogram.step_us for before, after in itertools.pairwise(starts)
        )


@pytest.mark.parametrize("filter", FILTERS, indirect=True)
def test_a_heat_map_counts_each_cell(reader: Reader, filter: Filter) -> None:
    """By time and duration, from rollups as from rows; not a row more than asked for."""
    for since_us, until_us, columns, rows in HEAT_MAPS:
        found = reader.wait(reader.store.read(HistogramQuery(filter, since_us, until_us, columns)))
        bounds_us, counts = fold(found.buckets, rows)
        assert (bounds_us, counts) == expected_heat_map(filter, (since_us, until_us, columns, rows))
        assert len(counts) <= columns + 1
        assert len(bounds_us) <= rows


@pytest.mark.parametrize("filter", FILTERS, indirect=True)
def test_a_summary_adds_everything_up(reader: Reader, filter: Filter) -> None:
    """Totals, percentiles and the most frequent values are those of the filter's records."""
    for only_totals in (False, True):
        expected = model.summary(reader.records, filter, only_totals=only_totals)
        assert (
            reader.wait(reader.store.read(SummaryQuery(filter, only_totals=only_totals)))
            == expected
        )


@pytest.mark.parametrize("filter", [*FILTERS, *ENDPOINT_FILTERS], indirect=True)
def test_percentiles_of_many_are_told_from_buckets(
    reader: Reader, filter: Filter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same buckets and ends wherever the figures come from: rollups of hours and days, rows, or
    both.
    """
    for module in (aggregate, model):
        monkeypatch.setattr(module, "EXACT_ROWS", 0)
    assert reader.wait(reader.store.read(SummaryQuery(filter))) == model.summary(
        reader.records, filter
    )
    for by in ("route", "endpoint", "status", "key"):
        assert reader.wait(reader.store.read(TopQuery(filter, by))) == model.top(
            reader.records, filter, by
        )

    for since_us, until_us in ((HOUR, HOUR + 30 * HOUR_US), (HOUR + 17, HOUR + 5 * HOUR_US)):
        found = reader.wait(reader.store.read(HistogramQuery(filter, since_us, until_us, 7)))
        assert found == model.histogram(reader.records, filter, since_us, until_us, 7)


@pytest.mark.parametrize("filter", [*FILTERS, *ENDPOINT_FILTERS])
def test_a_count_is_exact_across_hours(reader: Reader, filter: Filter) -> None:
    """A range of time that cuts hours is counted as exactly as one that does not."""
    reader.check(filter)
    reader.check(replace(filter, since_us=HOUR + HOUR_US // 3, until_us=HOUR + 27 * HOUR_US + 1))


@pytest.mark.parametrize("backend", USUAL, ids=lambda backend: backend.name)
async def test_an_empty_store_has_empty_figures(backend: object, tmp_path: Path) -> None:
    """Without records there are no values, empty steps and zero totals."""
    async with await backend.open(tmp_path) as store:  # type: ignore[attr-defined]
        assert await store.read(FacetQuery(Filter(), ("route",))) == {"route": []}
        histogram = await store.read(HistogramQuery(Filter(), START_US, START_US + 600, 6))
        assert [bucket.exchanges for bucket in histogram.buckets] == [0] * 6
        summary = await store.read(SummaryQuery(Filter()))
        assert (summary.exchanges, summary.rate_per_s, summary.duration.p50_us) == (0, None, None)


def make_many(number: int) -> list[Record]:
    """Make records that each have a project of their own."""
    return [make_record(project=f"p{place}") for place in range(number)]


@pytest.mark.parametrize("backend", JUDGED, ids=lambda backend: backend.name)
async def test_a_summary_of_a_scope_tells_nothing_of_others(
    backend: Backend, tmp_path: Path
) -> None:
    """Neither that they were there before nor that they are now; without anything of its own it has
    no time at all.
    """
    own = Filter(scope=Scope(projects=("a",)))

    async def told(store: Storage, project: str, at_us: int) -> tuple[int | None, int | None]:
        entry = Entry(make_record(project=project, started_at_us=at_us))
        await store.commit(Batch("sidecar-1", [entry]))
        summary = await store.read(SummaryQuery(own, only_totals=True))
        return summary.since_us, summary.until_us

    async with await backend.open(tmp_path) as store:
        assert await told(store, "b", START_US - 5) == (None, None)
        await told(store, "a", START_US)
        assert await told(store, "a", START_US + 7) == (START_US, START_US + 7)
        assert await told(store, "b", START_US + 900_000_000) == (START_US, START_US + 7)
        assert await told(store, "a", START_US + 9) == (START_US, START_US + 9)


@pytest.mark.parametrize("backend", USUAL, ids=lambda backend: backend.name)
async def test_a_facet_has_at_most_200_values(backend: object, tmp_path: Path) -> None:
    """Of more values than 200 the most frequent are listed, unless more are asked for."""
    async with await backend.open(tmp_path) as store:  # type: ignore[attr-defined]
        await store.commit(make_batch(*make_many(300), make_record(project="p299")))
        values = (await store.read(FacetQuery(Filter(), ("project",))))["project"]
        assert len(values) == 200
        assert (values[0].value, values[0].count, values[1].count) == ("p299", 2, 1)
        assert (
            len((await store.read(FacetQuery(Filter(), ("project",), limit=250)))["project"]) == 250
        )
        assert (
            len(
                (await store.read(FacetQuery(Filter(), ("project",), limit=MAX_FACET_LIMIT)))[
                    "project"
                ]
            )
            == 300
        )
