"""Rollups are the exact sums of the committed records."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from storage.aggregates import FacetValue
from storage.query import (
    Count,
    CountQuery,
    FacetQuery,
    Filter,
    Scope,
    StatsQuery,
    SummaryQuery,
    TopQuery,
)
from storage.relational.reads import facets as facets_module
from storage.relational.rollups import ValueLimits
from storage.relational.time_ranges import HOUR_US
from storage.sqlite.histograms import APPENDED_BYTES, unpack_histogram
from storage.sqlite.store import SqliteStorage
from tests.storage.samples import START_US, make_batch, make_record
from tests.support.filters import make_filter


def sums(path: Path, columns: str) -> list[tuple[Any, ...]]:
    """Read columns of all rollup rows."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT {columns} FROM rollups ORDER BY {columns}").fetchall()


async def test_histograms_of_rows_stay_short(store: SqliteStorage, path: Path) -> None:
    """However many batches add to a row, its histogram is hardly longer than what is put together."""
    for number in range(200):
        await store.commit(make_batch(make_record(duration_us=10 + number % 3, first_byte_us=None)))
        await store.read(CountQuery(Filter()))

    [(durations, first_bytes)] = sums(path, "durations, first_bytes")
    assert sum(unpack_histogram(durations).values()) == 200
    assert unpack_histogram(first_bytes) == {}
    assert len(durations) < APPENDED_BYTES + 8


async def test_methods_that_clients_invent_are_one_row(store: SqliteStorage, path: Path) -> None:
    """Known methods are counted apart, all others together, so that clients cannot make rows."""
    methods = ["GET", "POST", *(f"X{number}" for number in range(50)), None]
    await store.commit(make_batch(*[make_record(method=method) for method in methods]))
    assert sums(path, "exchanges") == [(1,), (1,), (51,)]


@pytest.mark.parametrize(
    ("filter", "exchanges"),
    [
        (make_filter(statuses=(404,)), 3),
        (make_filter(hosts=("a",)), 5),
        (make_filter(error_types=("internal",), kind="all"), 2),
        (make_filter(keyed=True, status_classes=(4,)), 3),
        (make_filter(scope=Scope(projects=("p",)), hosts=("a",), statuses=(404,)), 3),
        (make_filter(models=("large",)), 4),
    ],
)
async def test_such_totals_are_told_without_the_rows(
    store: SqliteStorage, path: Path, filter: Filter, exchanges: int
) -> None:
    """They are right even if somebody takes all rows away."""
    await store.commit(
        make_batch(
            *[make_record(host="a", project="p", status=404, keyed=True) for _ in range(3)],
            *[make_record(host="a", error_type="internal") for _ in range(2)],
            *[
                make_record(host="b", model="large", provider=provider)
                for provider in ("openai", None) * 2
            ],
        )
    )
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM records")
    assert await store.read(CountQuery(filter)) == Count(exchanges, 0)


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("model", [("large", 4), (None, 3)]),
        ("provider", [("openai", 4), (None, 3)]),
        ("user", [("eve", 5), ("bob", 2)]),
        ("host", [("a", 7)]),
        ("status", [("200", 6), ("404", 1)]),
    ],
)
async def test_rows_are_not_looked_at_for_what_rollups_tell(
    store: SqliteStorage, path: Path, by: str, names: list[tuple[str | None, int]]
) -> None:
    """Groups are added up from sums: also without any row, with and without a filter of the same
    field.
    """
    calls = [
        make_record(host="a", provider="openai", model="large", user_id="eve") for _ in range(4)
    ]
    others = [
        make_record(host="a", user_id="bob"),
        make_record(host="a", user_id="bob", status=404),
    ]
    await store.commit(make_batch(*calls, *others, make_record(host="a", user_id="eve")))
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM records")
    top = await store.read(TopQuery(Filter(), by))
    assert [(row.names[0], row.exchanges) for row in top.rows] == names
    assert (top.seen, top.complete) == (7, True)
    of_model = await store.read(TopQuery(make_filter(models=("large",)), "model"))
    assert [(row.names[0], row.exchanges) for row in of_model.rows] == [("large", 4)]


async def test_values_beyond_the_limit_are_counted_together(store: SqliteStorage) -> None:
    """An hour counts so many values apart and the rest as `other`; counts by it are scanned, and
    exact.
    """
    store._batches.limits = ValueLimits(max_values=3)
    for start in (0, 4):
        await store.commit(
            make_batch(
                *[
                    make_record(project=f"p{number}")
                    for number in range(start, start + 4)
                    for _ in range(2)
                ]
            )
        )

    assert (await store.read(StatsQuery())).by_project == {
        "p0": 4,
        "p1": 4,
        "p2": 4,
        "other": 20,
    }
    for number in range(8):
        assert (await store.read(CountQuery(make_filter(projects=(f"p{number}",))))).exchanges == 2

    assert (await store.read(CountQuery(make_filter(services=("catalogue",))))).exchanges == 16
    scoped = await store.read(StatsQuery(Filter(scope=Scope(projects=("p1", "p6")))))
    assert (scoped.total, scoped.by_project) == (8, {"p1": 4, "p6": 4})
    facet = (await store.read(FacetQuery(Filter(), ("project",))))["project"]
    assert [(value.value, value.count) for value in facet] == [
        (f"p{number}", 2) for number in range(8)
    ]
    await store.erase(make_filter(projects=("p1", "p5")))
    assert (await store.read(StatsQuery())).by_project == {"p0": 4, "p2": 4, "other": 16}
    await store.commit(make_batch(make_record(project="p9")))
    assert (await store.read(StatsQuery())).by_project["other"] == 18


async def test_what_another_hour_counts_together_is_no_part_of_a_count(
    store: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values counted apart in one hour and among the others in the next have all their records, or
    no count.
    """
    hour = START_US // HOUR_US * HOUR_US
    store._batches.limits = ValueLimits(max_values=3)
    for number, names in enumerate(("abcd", "defaaa", "")):
        at = {"started_at_us": hour + number * HOUR_US, "level": "error"}
        records = [make_record(project=name, key_id=name, error_type=name, **at) for name in names]
        await store.commit(make_batch(*records, make_record(project=None, **at)))

    every = [("a", 4), ("d", 2), ("b", 1), ("c", 1), ("e", 1), ("f", 1)]
    for filter in (
        Filter(),
        make_filter(levels=("error",)),
        Filter(since_us=hour, until_us=hour + 2 * HOUR_US),
    ):
        summary = await store.read(SummaryQuery(filter))
        facets = await store.read(FacetQuery(filter, ("project", "key", "level")))
        assert summary.complete
        assert [counts_of(summary.top[name]) for name in ("project", "key", "error_type")] == [
            every
        ] * 3
        number = (await store.read(CountQuery(filter))).exchanges
        assert [counts_of(values) for values in facets.values()] == [
            every,
            every,
            [("error", number)],
        ]
        assert counts_of(summary.top["service"]) == [("catalogue", number)]

    monkeypatch.setattr(facets_module, "SAMPLE_ROWS", 5)
    facets = await store.read(FacetQuery(Filter(), ("project", "level")))
    assert sorted(counts_of(facets["project"])) == [(name, None) for name in "abcdef"]
    assert counts_of(facets["level"]) == [("error", 13)]


def counts_of(values: list[FacetValue]) -> list[tuple[str, int | None]]:
    """Values with their counts."""
    return [(value.value, value.count) for value in values]
