"""While sums are far behind, what would come from them is counted from rows: slice by slice, in the time of a read."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

import pytest

from storage.clickhouse.answers import OutOfTime
from storage.clickhouse.features import read_features
from storage.clickhouse.layout import newest
from storage.clickhouse.link import Link, Row
from storage.clickhouse.reads import dialect, session
from storage.clickhouse.store import ClickhouseStorage
from storage.query import EVERYTHING, Count, Filter, RecordQuery
from storage.record import Batch, Entry
from storage.relational.reads import facets, page
from storage.relational.time_ranges import DAY_US, HOUR_US
from tests.storage.samples import make_record

DAY: Final = 20_000 * DAY_US
RECORDS: Final = 12
READS: Final[dict[str, Callable[[ClickhouseStorage], Awaitable[object]]]] = {
    "count": lambda store: store.count(Filter()),
    "count of calls": lambda store: store.count(Filter(is_llm=True)),
    "stats": lambda store: store.stats(EVERYTHING),
    "facets": lambda store: store.facets(Filter(), ("service", "host")),
    "facets of a time": lambda store: store.facets(Filter(since_us=DAY - 1), ("service", "host")),
    "histogram": lambda store: store.histogram(Filter(), DAY, DAY + 2 * HOUR_US, 2),
    "heat map": lambda store: store.heatmap(Filter(), DAY, DAY + 2 * HOUR_US, 2, 4),
    "summary": lambda store: store.summary(Filter()),
    "totals": lambda store: store.summary(Filter(), only_totals=True),
    "top": lambda store: store.top(Filter(), "service"),
    "top series": lambda store: store.top_series(Filter(), "service", DAY, DAY + DAY_US, 24),
    "a page far down": lambda store: store.select(RecordQuery(offset=3, limit=2)),
    "rows": lambda store: store.info(),
}


class TiredLink(Link):
    """A link to a server that comes to an end with no statement that adds up all rows without sums."""

    async def fetch(
        self, sql: str, parameters: Sequence[Any] = (), *, limit_s: float, settings: dict[str, str] | None = None
    ) -> list[Row]:
        """See `Link.fetch`."""
        if "AS rollup" in sql:
            raise OutOfTime("clickhouse: it took too long")
        return await super().fetch(sql, parameters, limit_s=limit_s, settings=settings)


@pytest.fixture
async def filled(link: Link, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ClickhouseStorage]:
    """A store of some records without sums."""
    monkeypatch.setattr(page, "_FEW", 2)
    async with await ClickhouseStorage.open(link.address, grid_rows=4) as store:
        records = [
            make_record(started_at_us=DAY + number, service=f"s{number % 3}", provider="openai" if number % 2 else None)
            for number in range(RECORDS)
        ]
        await store.commit(Batch("sidecar-1", [Entry(record) for record in records]))
        yield store


async def tired(link: Link, budget_s: float) -> ClickhouseStorage:
    """Open the same store by a link of that kind."""
    features = await read_features(link)
    return ClickhouseStorage(TiredLink(link.address), features, newest(), read_budget_s=budget_s, grid_rows=4)


@pytest.mark.parametrize("name", READS)
async def test_the_answer_is_the_same(
    name: str, link: Link, filled: ClickhouseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as there is time to look at all rows."""
    expected = await READS[name](filled)
    monkeypatch.setattr(session, "MAX_UNSUMMED_ROWS", RECORDS - 1)
    async with await tired(link, 30.0) as store:
        assert await READS[name](store) == expected


async def test_an_answer_that_has_not_all_says_so(
    link: Link, filled: ClickhouseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the time is over, what was found of the newest rows is the answer."""
    monkeypatch.setattr(session, "MAX_UNSUMMED_ROWS", RECORDS - 1)
    monkeypatch.setattr(dialect, "_SCAN_ROWS", 5)
    monkeypatch.setattr(facets, "_SAMPLE_S", 0.0)
    async with await tired(link, 0.0) as store:
        assert await store.count(Filter()) == Count(5, 0, exact=False)
        found = await store.summary(Filter())
        assert (found.exchanges, found.complete) == (5, False)
        assert not (await store.histogram(Filter(), DAY, DAY + 2 * HOUR_US, 2)).complete
        top = await store.top(Filter(), "service")
        assert (top.seen, top.complete) == (5, False)
        assert not (await store.top_series(Filter(), "service", DAY, DAY + DAY_US, 24)).complete
        values = (await store.facets(Filter(), ("service",)))["service"]
        assert [value.count for value in values] == [None, None, None]
        assert (await store.info()).rows == RECORDS


async def test_hours_that_have_sums_are_read_from_them(
    link: Link, filled: ClickhouseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever other hours lack."""
    later = [make_record(started_at_us=DAY + DAY_US) for _ in range(4)]
    await filled.commit(Batch("sidecar-1", [Entry(record) for record in later]))
    await filled.add_sums()
    await link.execute(f"ALTER TABLE records DELETE WHERE seq > {RECORDS}", limit_s=30)
    monkeypatch.setattr(session, "MAX_UNSUMMED_ROWS", RECORDS - 1)
    async with await ClickhouseStorage.open(link.address, grid_rows=4) as store:
        assert await store.count(Filter(since_us=DAY + DAY_US)) == Count(4, 0)
        assert await store.count(Filter(until_us=DAY + DAY_US)) == Count(RECORDS, 0)
