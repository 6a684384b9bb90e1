"""Records that stand for several, over every backend: all sums are as if each had been stored as
often.

The model stores them so: it is given each record as often as it counts.
"""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from storage.aggregates import FACETS, TOP_FIELDS
from storage.base import Storage
from storage.conversations import ConversationQuery
from storage.query import (
    CountQuery,
    FacetQuery,
    Filter,
    HistogramQuery,
    RecordQuery,
    SeriesQuery,
    StatsQuery,
    SummaryQuery,
    TopQuery,
)
from storage.record import Batch, Entry, Record
from storage.search.expression import Between, Expression, Has, Not
from storage.tools import ToolFilter, ToolQuery, ToolStatsQuery
from tests.contract.backends import JUDGED, Backend
from tests.contract.listing import of_store
from tests.contract.test_storage_aggregates import (
    ENDPOINT_FILTERS,
    FILTERS,
    HISTOGRAM_RANGES,
    HOUR,
    SERIES_RANGES,
    dataset,
)
from tests.contract.test_storage_reading import Reader
from tests.contract.test_storage_tools import make_call
from tests.storage.samples import make_batch, make_payload, make_record
from tests.support import memory_aggregates as model
from tests.support.filters import make_filter
from tests.support.memory_store import MemoryStorage

WEIGHTS = (1, 1, 3, 2, 4)
"""Whole numbers, as the model needs them."""
SOME_FILTERS = (*FILTERS[:20:2], *ENDPOINT_FILTERS[:2])


def weighed() -> list[Record]:
    """Make records that differ in everything, of which exchanges have several weights; always the
    same.
    """
    chance = random.Random(11)
    return [
        msgspec.structs.replace(
            record, weight=chance.choice(WEIGHTS) if record.kind == "exchange" else 1
        )
        for record in dataset()
    ]


@pytest.fixture(params=JUDGED, ids=lambda backend: backend.name, scope="module")
def reader(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reader]:
    """Every backend in turn, filled once."""
    directory: Path = tmp_path_factory.mktemp("store")
    with asyncio.Runner() as runner:
        store: Storage = runner.run(request.param.open(directory))
        records = weighed()
        for start in range(0, len(records), 50):
            runner.run(store.commit(make_batch(*records[start : start + 50])))
        yield Reader(runner, store, records)
        runner.run(store.close())


@pytest.fixture
def filter(request: pytest.FixtureRequest, reader: Reader) -> Filter:
    """A filter with bounds on the numbers that the store gave."""
    return of_store(request.param, reader.records)


@pytest.mark.parametrize("filter", SOME_FILTERS, indirect=True)
def test_every_sum_is_weighed(reader: Reader, filter: Filter) -> None:
    """Totals, percentiles, steps, groups and values, from rollups as from rows; and it is said that
    they are.
    """
    counted = model.each_counted(reader.records)
    read = reader.store.read
    wait = reader.wait
    assert wait(read(SummaryQuery(filter))) == model.summary(counted, filter)
    assert wait(read(FacetQuery(filter, tuple(FACETS)))) == model.facets(
        counted, filter, tuple(FACETS)
    )

    for range_ in HISTOGRAM_RANGES:
        assert wait(read(HistogramQuery(filter, *range_))) == model.histogram(
            counted, filter, *range_
        )

    for by in TOP_FIELDS:
        assert wait(read(TopQuery(filter, by))) == model.top(counted, filter, by)
    for range_ in SERIES_RANGES:
        assert wait(read(SeriesQuery(filter, "endpoint", *range_))) == model.top_series(
            counted, filter, "endpoint", *range_
        )


def test_pages_and_their_totals_are_of_what_is_stored(reader: Reader) -> None:
    """A record that stands for four is one row, and one of the total of pages."""
    stored = sum(record.kind == "exchange" for record in reader.records)
    assert reader.wait(reader.store.read(CountQuery(Filter()))).exchanges == stored
    found = reader.wait(
        reader.store.read(RecordQuery(filter=Filter(kind="all"), limit=1000, order="asc"))
    ).records
    assert [record.weight for record in found] == [record.weight for record in reader.records]
    assert reader.wait(reader.store.info()).rows == len(reader.records)


@pytest.mark.parametrize(
    ("where", "weights"),
    [
        (Between("weight", 1.0000000000000002, None), {2, 3, 4}),
        (Between("weight", 3, 3), {3}),
        (Between("weight", 1.5, 3.4), {2, 3}),
        (Between("weight", None, 2.999), {1, 2}),
        (Between("weight", 1, 1), {1}),
        (Between("weight", None, 0.5), set()),
        (Not(Between("weight", 2, None)), {1}),
        (Has("weight"), {1, 2, 3, 4}),
    ],
)
def test_a_search_compares_weights(reader: Reader, where: Expression, weights: set[float]) -> None:
    """Exactly, between and beside the weights there are."""
    page = reader.wait(reader.store.read(RecordQuery(filter=Filter(where=where), limit=1000)))
    assert {record.weight for record in page.records} == weights
    expected = sum(
        record.kind == "exchange" and record.weight in weights for record in reader.records
    )
    assert len(page.records) == expected


async def test_weights_go_with_their_records(store: Storage) -> None:
    """After an erasure sums are those of the records that are left, in hours and in days."""
    records = [
        make_record(
            started_at_us=HOUR + number * 300_000_000, project="ab"[number % 2], weight=WEIGHTS[number % 5],
            provider="p", model="m", input_tokens=7, cost_usd=0.5, duration_us=number,
        )
        for number in range(401)
    ]  # fmt: skip
    for start in range(0, len(records), 100):
        await store.commit(make_batch(*records[start : start + 100]))
    await store.erase(make_filter(projects=("b",)))
    left = model.each_counted(record for record in records if record.project == "a")
    for filter in (Filter(), Filter(since_us=HOUR + 1)):
        assert await store.read(SummaryQuery(filter)) == model.summary(left, filter)
    assert (await store.read(SummaryQuery(make_filter(projects=("b",))))).exchanges == 0


@pytest.mark.parametrize("backend", JUDGED, ids=lambda backend: backend.name)
async def test_weights_that_are_no_whole_numbers_are_rounded_in_the_end(
    backend: Backend, tmp_path: Path
) -> None:
    """Not record by record: 300 of 1 / 0.3 are a thousand."""
    weight = round(1 / 0.3, 6)
    records = [
        make_record(status=200, weight=weight, request_bytes=3, duration_us=number)
        for number in range(300)
    ]
    async with await backend.open(tmp_path) as store:
        await store.commit(make_batch(*records, make_record(status=500, duration_us=900_000)))
        found = await store.read(SummaryQuery(Filter()))
        assert (found.status_classes, found.sampled) == ({"2xx": 1000, "5xx": 1}, True)
        assert found.request_bytes == pytest.approx(3 * 1000, abs=100)
        assert found.duration.p99_us == pytest.approx(297, rel=0.1)
        [row] = (await store.read(TopQuery(make_filter(status_classes=(2,)), "header.host"))).rows
        assert (row.exchanges, row.sampled) == (1000, True)


async def test_stats_tools_and_conversations(store: Storage) -> None:
    """Entries and calls of tools are weighed; a conversation's figures are those of what is stored
    of it, marked.
    """
    memory = MemoryStorage()
    entries = []
    for number in range(20):
        record = make_record(
            weight=WEIGHTS[number % 5], conversation=bytes(15) + bytes([number % 2]), provider="p"
        )
        call = make_call(record_id=record.id, latency_us=1000 + number, weight=record.weight)
        entries.append(Entry(record, make_payload(number), [call]))

    await store.commit(Batch("sidecar-1", entries))
    await memory.commit(Batch("sidecar-1", entries))
    entries_counted = await store.read(StatsQuery())
    assert entries_counted == await memory.read(StatsQuery())
    assert entries_counted.sampled

    for query in (ToolStatsQuery(), ToolStatsQuery(ToolFilter(min_latency_us=1004))):
        calls_counted = await store.read(query)
        assert calls_counted == await memory.read(query)
        assert calls_counted.sampled

    assert [call.weight for call in (await store.read(ToolQuery(order="asc"))).calls] == [
        entry.record.weight for entry in entries
    ]
    page = await store.read(ConversationQuery())
    assert [(each.turns, each.sampled) for each in page.conversations] == [(10, True), (10, True)]


async def test_without_weights_nothing_is_sampled(store: Storage) -> None:
    """Figures are exact as ever, and percentiles those of the values."""
    await store.commit(make_batch(*(make_record(duration_us=number) for number in range(50))))
    found = await store.read(SummaryQuery(Filter()))
    assert (found.exchanges, found.sampled, found.duration.is_estimated) == (50, False, False)
    assert not (await store.read(TopQuery(Filter(), "endpoint"))).sampled
    assert not (await store.read(StatsQuery())).sampled
