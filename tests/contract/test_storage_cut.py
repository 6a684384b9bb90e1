"""Reads that come to the end of their time: what they say then, and that cursors lead on to the
rest.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.base import Storage
from storage.conversations import ConversationQuery
from storage.query import CountQuery, Filter, Order, RecordQuery, SummaryQuery, TopQuery
from storage.record import Batch, Entry, Payload
from storage.relational import slices
from storage.relational.search import rows
from storage.relational.time_ranges import DAY_US
from storage.search.expression import Substring, Text
from storage.search.phrase import Phrase
from tests.contract.backends import BACKENDS, Backend
from tests.contract.listing import read_on
from tests.storage.samples import START_US, make_batch, make_body, make_record
from tests.support.filters import make_filter


@pytest.fixture(
    params=[one for one in BACKENDS if one.name in ("sqlite", "postgres")], ids=lambda one: one.name
)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Those that read in slices of rows, with dense numbers; how far ClickHouse comes is up to its
    server.
    """
    chosen: Backend = request.param
    return chosen


@pytest.fixture(autouse=True)
def _short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten rows each, the first and the others."""
    monkeypatch.setattr(slices, "FIRST_SLICE", 10)
    monkeypatch.setattr(slices, "SLICE_S", 1e-9)
    monkeypatch.setattr(rows, "FIRST_ROWS", 10)


@pytest.fixture
async def slow(backend: Backend, tmp_path: Path) -> AsyncIterator[Storage]:
    """A store of 50 records in 5 slices, without any time for reading."""
    async with await backend.open(tmp_path, read_budget_s=0.0) as store:
        await store.commit(make_batch(*[make_record(path=f"/{number}") for number in range(50)]))
        yield store


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_read_that_is_cut_goes_on_at_its_cursor(slow: Storage, order: Order) -> None:
    """A page that is cut says so, and its cursors lead through every row once."""
    page = await slow.read(RecordQuery(order=order))
    assert not page.complete
    assert len(page.records) == 10
    found = [record.seq for record in await read_on(slow, order=order)]
    assert found == sorted(range(1, 51), reverse=order == "desc")


async def test_a_search_without_hits_makes_progress(slow: Storage) -> None:
    """A page that is cut before anything was found still has a cursor, and the last one has none."""
    cursors = []
    after = None
    while True:
        page = await slow.read(
            RecordQuery(filter=make_filter(path_contains="/0"), after=after, limit=5)
        )
        cursors.append(after := page.next_after)
        if after is None:
            break

    assert cursors == [41, 31, 21, 11, None]
    assert [record.seq for record in page.records] == [1]


async def test_a_search_of_records_that_is_cut_goes_on_at_its_cursor(slow: Storage) -> None:
    """Where records are looked into one by one, too, the first slice is read and no more; the rest
    is found later.
    """
    cursors = []
    found = []
    after = None

    while True:
        page = await slow.read(RecordQuery(filter=Filter(where=Substring("7")), after=after))
        found.append([record.seq for record in page.records])
        cursors.append(after := page.next_after)
        if after is None:
            break

    assert found == [[48], [38], [28], [18], [8]]
    assert cursors == [41, 31, 21, 11, None]


async def test_a_search_of_conversations_that_is_cut_lists_each_once(slow: Storage) -> None:
    """Though calls of the same ones are met on every page, behind its cursor."""
    numbers = [bytes([place % 15]) * 16 for place in range(60)]
    entries = [
        Entry(
            make_record(provider="openai", conversation=number),
            Payload(b"POST /", b"", make_body(b"needle"), None),
        )
        for number in numbers
    ]
    await slow.commit(Batch("sidecar-1", entries))
    found = list[bytes]()
    before = None

    pages = 0
    while pages == 0 or before is not None:
        query = ConversationQuery(filter=Filter(where=Substring("needle")), limit=4, before=before)
        page = await slow.read(query)
        found += [each.id for each in page.conversations]
        before = page.next_before
        pages = pages + 1

    assert len(found) == len(set(found)) == 15
    assert pages > 5


async def test_conversations_that_there_is_no_time_to_compare_are_said_to_be_missing(
    slow: Storage,
) -> None:
    """Those of the newest calls are compared in any case."""
    numbers = [bytes([place]) * 16 for place in range(60)]
    await slow.commit(
        make_batch(
            *[make_record(conversation=number, cost_usd=number[0] % 7) for number in numbers]
        )
    )
    page = await slow.read(ConversationQuery(sort="cost", limit=2))
    assert ([each.id[0] for each in page.conversations], page.complete) == ([55, 54], False)


async def test_a_count_that_is_cut_is_a_lower_bound(slow: Storage) -> None:
    """Only the slices that were searched are counted, unless rollups have the answer."""
    counted = await slow.read(CountQuery(make_filter(path_contains="/")))
    assert (counted.exchanges, counted.exact) == (10, False)
    assert (await slow.read(CountQuery(Filter()))).exchanges == 50


async def test_sums_of_days_that_are_cut_are_those_of_the_newest(slow: Storage) -> None:
    """Rollups are read in the time that there is, too, and what does not fit into it is not waited
    for.
    """
    days = [
        make_record(started_at_us=START_US - day * DAY_US, endpoint="/a", model="m")
        for day in range(4, 30)
    ]
    await slow.commit(make_batch(*days))
    counted = await slow.read(CountQuery(make_filter(methods=("GET",))))
    assert (counted.exchanges, counted.exact) == (50, False)
    top = await slow.read(TopQuery(Filter(), "endpoint"))
    assert (top.seen, [row.names[1] for row in top.rows], top.complete) == (50, [None], False)
    summary = await slow.read(SummaryQuery(make_filter(methods=("GET",)), only_totals=True))
    assert (summary.exchanges, summary.complete) == (50, False)
    assert (await slow.info()).rows == 76


async def test_an_offset_that_is_not_reached_has_no_cursor(slow: Storage) -> None:
    """A search that is cut while it skips rows has nothing to go on from."""
    page = await slow.read(RecordQuery(offset=35))
    assert (page.records, page.complete, page.next_after) == ([], False, None)


async def test_a_page_that_is_nearly_full_is_filled_from_few_rows(
    store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However quick the slices were: what was found tells how many rows have the rest."""
    monkeypatch.setattr(slices, "SLICE_S", 1000.0)
    widths = list[int]()
    start = slices.Pace.start

    def began(pace: slices.Pace) -> None:
        widths.append(pace.width)
        start(pace)

    monkeypatch.setattr(slices.Pace, "start", began)
    records = [make_record(path="/odd" if n % 10 == 9 else "/even") for n in range(2000)]
    await store.commit(make_batch(*records))
    page = await store.read(
        RecordQuery(filter=make_filter(path_contains="odd"), order="asc", limit=11)
    )
    assert [record.seq for record in page.records] == [record.seq for record in records[9:110:10]]
    if not store.has_late_prefix:
        assert widths == [10, 80, 60]


@pytest.mark.parametrize("offset", [0, 9, 10, 11, 35, 49, 50, 80])
@pytest.mark.parametrize(
    "odd", [make_filter(path_contains="odd"), Filter(where=Text(Phrase(("odd",))))]
)
async def test_an_offset_reaches_over_slices(store: Storage, odd: Filter, offset: int) -> None:
    """Rows are skipped across as many slices as it takes."""
    records = [make_record(path="/odd" if n % 2 else "/even") for n in range(100)]
    await store.commit(make_batch(*records))
    page = await store.read(RecordQuery(filter=odd, order="asc", offset=offset, limit=4))
    assert [record.seq for record in page.records] == [record.seq for record in records[1::2]][
        offset : offset + 4
    ]
