"""Pages of entries over a real store, against the list that a reader would see if there were no pages."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.dialects.entries import Entry, Halves, expand, project_entry
from api.dialects.entry_pages import EntryQuery, read_entry_page
from storage.backends import open_storage
from storage.query import Count, Filter, Order
from storage.record import Record
from tests.api.samples import make_batch, make_event, make_record

HALVES = [
    Halves(),
    Halves(event=False),
    Halves(request=False, event=False),
    Halves(response=False, event=False),
    Halves(request=False),
    Halves(response=False),
    Halves(request=False, response=False),
]


def make_log(kinds: list[bool]) -> list[Record]:
    """Make records as the store numbers them: True is an exchange, False an event."""
    records = [make_record(n) if is_exchange else make_event(n) for n, is_exchange in enumerate(kinds, 1)]
    for seq, record in enumerate(records, 1):
        record.seq = seq
    return records


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


@settings(max_examples=300, deadline=None)
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


@given(st.lists(st.booleans(), max_size=60), st.sampled_from(HALVES))
def test_the_total_is_the_number_of_entries(kinds: list[bool], halves: Halves) -> None:
    """Counting records and counting entries give the same sum."""
    count = Count(exchanges=sum(kinds), events=len(kinds) - sum(kinds))
    assert halves.total(count) == len(expand(make_log(kinds), halves, "asc"))


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_halves_of_an_exchange_are_a_pair(kinds: list[bool]) -> None:
    """Ids rise without repeats; an exchange n is 2n-1 and 2n with one trace id, an event n is 2n."""
    records = make_log(kinds)
    entries = expand(records, Halves(), "asc")
    ids = [entry.id for entry in entries]
    assert ids == sorted(set(ids))
    for record in records:
        own = [entry for entry in entries if entry.record is record]
        if record.kind == "event":
            assert [entry.id for entry in own] == [2 * record.seq]
            continue
        shown = [project_entry(entry) for entry in own]
        assert [entry["id"] for entry in shown] == [2 * record.seq - 1, 2 * record.seq]
        different = {key for key in shown[0] if shown[0][key] != shown[1][key]}
        assert different == {"id", "tsMs", "tsIso", "kind", "data"}


def test_an_entry_has_the_keys_of_the_document() -> None:
    """Order and values follow the document's example."""
    record = make_record(4, method="POST", path="/v1/users", query="a=1", status=201, trace_id="f" * 32)
    record.seq = 42161
    request = project_entry(Entry(record, "request"))
    keys = ["id", "traceId", "tsMs", "tsIso", "kind", "level", "projectId", "containerId", "serviceName", "method"]
    assert list(request) == [*keys, "url", "clientIp", "status", "data", "source"]
    assert request == {
        "id": 84321,
        "traceId": "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "tsMs": 1718201234004,
        "tsIso": "2024-06-12T14:07:14.004Z",
        "kind": "request",
        "level": "info",
        "projectId": "proj_a",
        "containerId": "cnt_1",
        "serviceName": "user-api",
        "method": "POST",
        "url": "/v1/users?a=1",
        "clientIp": "203.0.113.42",
        "status": 201,
        "data": {"bytesIn": 412, "userAgent": "curl/8"},
        "source": "backend",
    }
    response = project_entry(Entry(record, "response"))
    assert (response["id"], response["tsMs"]) == (84322, 1718201234106)
    assert response["data"] == {"bytesOut": 318, "durationMs": 102}


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b'{"count": 3, "name": "other"}', {"count": 3, "name": "gap"}),
        (b"[1]", {"name": "gap", "payload": [1]}),
        (b"{broken", {"name": "gap", "payload": "{broken"}),
        (None, {"name": "gap"}),
    ],
)
def test_an_event_shows_its_name_and_payload(data: bytes | None, shown: dict[str, object]) -> None:
    """The event's own name wins; a payload that is no object stands apart."""
    assert project_entry(Entry(make_event(1, data=data), "event"))["data"] == shown
