"""Pages over a store that is too slow to search everything within its time budget."""

from dataclasses import replace

import pytest

from api.http.errors import Refused
from api.http.paging import (
    MAX_ROUNDS,
    Frozen,
    first_kept_seq,
    freeze,
    freeze_and_count,
    reaches_back,
    read_whole_page,
)
from storage.query import Count, CountQuery, Filter, Page, RecordQuery
from tests.api.conftest import Start, World, ask
from tests.api.samples import make_batch, make_event, make_record
from tests.support.memory_store import MemoryStorage


class HurriedStorage(MemoryStorage):
    """A store whose time budget ends after a few rows, and before an offset is skipped."""

    def __init__(self, rows_in_time: int) -> None:
        super().__init__()
        self.rows_in_time = rows_in_time

    async def select(self, query: RecordQuery) -> Page:
        """Read as much of a page as there is time for."""
        found = await super().select(
            replace(query, limit=min(query.limit, self.rows_in_time), offset=0)
        )
        is_complete = query.offset == 0 and (
            len(found.records) == query.limit or found.next_after is None
        )
        return Page([] if query.offset else found.records, is_complete, found.next_after)

    async def count(self, filter: Filter) -> Count:
        """Count, without promising that it is all."""
        count = await super().count(filter)
        return Count(count.exchanges, count.events, exact=False)


async def filled(rows_in_time: int, number: int) -> HurriedStorage:
    """Make a hurried store that holds some exchanges."""
    storage = HurriedStorage(rows_in_time)
    await storage.commit(make_batch(*(make_record(n) for n in range(1, number + 1))))
    return storage


async def test_a_search_is_taken_up_again_until_the_page_is_full() -> None:
    """Three rows at a time make a page of ten, in order."""
    page = await read_whole_page(await filled(3, 20), RecordQuery(limit=10))
    assert [record.seq for record in page.records] == list(range(20, 10, -1))


async def test_a_search_ends_after_some_rounds_with_what_it_has() -> None:
    """Then the page says that it is not complete, and where to go on."""
    page = await read_whole_page(await filled(2, 50), RecordQuery(limit=40))
    assert (len(page.records), page.complete) == (2 * MAX_ROUNDS, False)
    assert page.next_after == page.records[-1].seq


async def test_an_offset_that_takes_too_long_is_refused() -> None:
    """How far the store got is unknown, so nothing is shown rather than something wrong."""
    with pytest.raises(Refused, match="time budget") as caught:
        await read_whole_page(await filled(2, 50), RecordQuery(limit=10, offset=5))
    assert caught.value.status == 503


async def test_dialects_answer_503_for_such_an_offset(start: Start) -> None:
    """In their own words, with a time to come back."""
    client = await start(World(await filled(2, 50)).services())
    answer = await ask(client, "/v1/requests", 503, offset=5)
    assert answer["error"]["type"] == "overloaded_error"
    for order in ("asc", "desc"):
        answer = await ask(client, "/api/proxy-logs/_logs", 503, offset=6, order=order, limit=3)
        assert answer["statusCode"] == 503


async def test_a_mixed_log_whose_events_cannot_be_counted_in_time_refuses_offsets(
    start: Start,
) -> None:
    """A guess about events before the page is not shown as a page."""
    storage = HurriedStorage(100)
    await storage.commit(make_batch(make_record(1), make_event(2), make_record(3), make_record(4)))
    client = await start(World(storage).services())
    await ask(client, "/api/proxy-logs/_logs", 503, offset=1)
    await ask(client, "/api/proxy-logs/_logs")


async def test_a_reader_of_after_id_reaches_the_end_all_the_same(start: Start) -> None:
    """An answer that was cut says where to go on; following it shows every entry once."""
    client = await start(World(await filled(2, 30)).services())
    seen: list[int] = []
    after_id = 0

    for _ in range(20):
        answer = await ask(client, "/api/proxy-logs/_logs", afterId=after_id, limit=1000)
        assert (answer["total"], answer["totalCapped"]) == (60, True)
        seen += [entry["id"] for entry in answer["entries"]]
        if answer.get("complete", True):
            break
        after_id = answer["nextAfterId"]

    assert seen == list(range(1, 61))


async def test_native_pages_say_that_they_are_not_complete(start: Start) -> None:
    """What was found, `complete: false`, and a cursor that goes on."""
    client = await start(World(await filled(2, 5)).services())
    answer = await ask(client)
    assert ([record["seq"] for record in answer["records"]], answer["complete"]) == ([5, 4], False)
    answer = await ask(client, cursor=answer["next_cursor"])
    assert [record["seq"] for record in answer["records"]] == [3, 2]


def test_a_frozen_log_ends_where_it_was_or_earlier() -> None:
    """Its filter is bounded."""
    assert freeze(Filter(), 99, 9).max_seq == freeze(Filter(), None, 9).max_seq == 9
    assert freeze(Filter(), 4, 9) == Frozen(4, Filter(seq_until=4))


@pytest.mark.parametrize(("max_seq", "is_late", "bound"), [(None, False, None), (5, False, None), (99, False, None),
                                                           (4, False, 4), (None, True, 5)])  # fmt: skip
async def test_only_a_frozen_total_pays_for_the_bound(
    max_seq: int | None, is_late: bool, bound: int | None
) -> None:
    """Without `max_seq`, or with one at the end, the count keeps its rollups, unless rows may lie
    above the end.
    """
    async with Growing(0) as store:
        await store.commit(make_batch(*(make_record(number) for number in range(1, 6))))
        store.has_late_prefix = is_late
        await freeze_and_count(store, Filter(), max_seq, CountQuery)
        assert store.counted == [Filter(seq_until=bound)]


class Growing(MemoryStorage):
    """A store to which records come while it is counted, a number of times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.number = 100
        self.counted: list[Filter] = []

    async def count(self, filter: Filter) -> Count:
        self.counted.append(filter)
        if self.times:
            self.times -= 1
            self.number += 1
            await self.commit(make_batch(make_record(self.number)))
        return await super().count(filter)


@pytest.mark.parametrize("times", [0, 1, MAX_ROUNDS - 1, MAX_ROUNDS])
async def test_totals_are_of_the_moment_that_is_named(times: int) -> None:
    """However many records come meanwhile: the total is that of what pages can show."""
    async with Growing(times) as store:
        frozen, count = await freeze_and_count(store, Filter(), None, CountQuery)
        assert count.exchanges == frozen.max_seq


async def test_an_end_that_is_given_is_the_one_that_counts() -> None:
    """Without asking again."""
    async with Growing(0) as store:
        await store.commit(make_batch(*(make_record(number) for number in range(1, 6))))
        store.times = 1
        frozen, count = await freeze_and_count(store, Filter(), 3, CountQuery)
        assert (frozen.max_seq, count.exchanges) == (3, 3)


async def test_a_log_begins_with_its_oldest_record() -> None:
    """Without any it begins after the end that is given."""
    async with MemoryStorage() as store:
        assert await first_kept_seq(store, 5) == 6
        started_at_us = make_record(1).started_at_us
        assert not await reaches_back(store, started_at_us)
        await store.commit(make_batch(make_record(1), make_record(2)))
        assert await first_kept_seq(store, 5) == 1
        reached = [await reaches_back(store, started_at_us + us) for us in (-1, 0)]
        assert reached == [False, True]
