"""Pages of entries over a real store, against the list that a reader would see if there were no
pages.
"""

import asyncio
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from api.dialects.entries import expand
from api.dialects.entry_pages import EntryQuery, read_entry_page
from storage.backends import open_storage
from storage.query import Filter, Order
from storage.record import Record
from tests.api.dialects.logs import HALVES, make_log
from tests.api.samples import make_batch


def expected(records: list[Record], query: EntryQuery) -> list[int]:
    """List the entry ids of a page by slicing the whole log."""
    ids = [entry.id for entry in expand(records, query.halves, "asc")]
    if query.after_id is not None:
        ids = [number for number in ids if number > query.after_id]
    if query.last is not None:
        return ids[-query.last :] if query.last else []
    if query.after_id is not None:
        return ids[: query.limit]

    if query.order == "desc":
        ids.reverse()
    return ids[query.offset : query.offset + query.limit]


@st.composite
def entry_queries(draw: st.DrawFn) -> EntryQuery:
    """Draw page requests of every sort."""
    halves = draw(st.sampled_from(HALVES))
    last = draw(st.none() | st.integers(0, 40))
    after_id = draw(st.none() | st.integers(0, 90))
    order: Order = draw(st.sampled_from(["asc", "desc"]))
    return EntryQuery(
        filter=Filter(kind=halves.record_kind),
        halves=halves,
        order=order,
        limit=draw(st.integers(0, 40)),
        offset=draw(st.integers(0, 90)),
        last=last,
        after_id=after_id,
    )


@given(kinds=st.lists(st.booleans(), max_size=40), query=entry_queries())
def test_a_page_is_a_slice_of_the_whole_log(kinds: list[bool], query: EntryQuery) -> None:
    """Offset, last and afterId, both orders and any choice of halves agree with plain slicing."""

    async def read() -> list[int]:
        async with await open_storage("memory:", Path()) as storage:
            records = make_log(kinds)
            if records:
                await storage.commit(make_batch(*records))
            return [entry.id for entry in (await read_entry_page(storage, query)).entries]

    assert asyncio.run(read()) == expected(make_log(kinds), query)
