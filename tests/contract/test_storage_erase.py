"""Erasure of every backend: nothing of the erased is left, and nothing of the others is changed."""

import pytest

from storage.base import Storage
from storage.query import (
    CountQuery,
    FacetQuery,
    Filter,
    RecordQuery,
    Scope,
    matches,
)
from storage.record import Batch, Entry, Payload, Record
from tests.contract.test_storage_reading import make_dataset
from tests.contract.test_storage_retention import check as check_left
from tests.storage.samples import make_batch, make_payload, make_record
from tests.support.filters import make_filter
from tests.support.long import long

ALL = Filter(kind="all")


def payload_of(number: int) -> Payload:
    """Make a payload that tells whose it is; every third has no bodies."""
    payload = make_payload(number)
    if number % 3 == 0:
        payload.request_body = None
        payload.response_body = None
    return payload


async def fill(store: Storage) -> tuple[list[Record], dict[int, Payload]]:
    """Commit the usual records in batches, each with a payload; answers these by `seq`."""
    records = make_dataset()
    payloads = {number: payload_of(number) for number in range(1, len(records) + 1)}
    for start in range(0, len(records), 60):
        entries = [
            Entry(record, payloads[start + place])
            for place, record in enumerate(records[start : start + 60], 1)
        ]
        await store.commit(Batch("sidecar-1", entries))

    return records, {record.seq: payloads[number] for number, record in enumerate(records, 1)}


@pytest.mark.parametrize(
    "filter",
    [
        ALL,
        make_filter(projects=("a",), kind="all"),
        make_filter(scope=Scope(projects=("b",)), levels=("error", "warn")),
        long(make_filter(path_contains="items", methods=("GET", "BREW"), kind="all")),
        Filter(kind="event"),
        make_filter(endpoints=("a", "b"), kind="all"),
        long(make_filter(projects=("unknown",))),
    ],
)
async def test_the_erased_are_in_no_answer_and_the_others_in_all(
    store: Storage, filter: Filter
) -> None:
    """Lists, counts, sums and payloads are those of the records that do not match."""
    records, payloads = await fill(store)
    gone = [record for record in records if matches(filter, record)]
    left = [record for record in records if not matches(filter, record)]
    receipt = await store.erase(filter)
    events = sum(record.kind == "event" for record in gone)
    assert (receipt.exchanges, receipt.events) == (len(gone) - events, events)
    assert store.has_late_prefix or receipt.through_seq == records[-1].seq
    await check_left(store, left, 0)
    expected = {record.seq: payloads[record.seq] for record in left}
    assert await store.payloads([record.seq for record in records]) == expected
    assert await store.get(gone[0].id if gone else bytes(16)) is None
    again = await store.erase(filter)
    assert (again.exchanges, again.events) == (0, 0)


async def test_storing_goes_on_beside_an_erasure(store: Storage) -> None:
    """Numbers are not given again, and what comes later may match the filter."""
    first = make_record(project="a")
    second = make_record(project="a")
    await store.commit(Batch("sidecar-1", [Entry(first)]))
    await store.erase(make_filter(projects=("a",)))
    assert await store.commit(Batch("sidecar-1", [Entry(second)])) == second.seq > first.seq
    assert (await store.read(RecordQuery(filter=ALL))).records == [second]
    assert (await store.read(CountQuery(ALL))).exchanges == 1


async def test_facets_see_an_erasure_that_later_records_make_up_for(store: Storage) -> None:
    """Counts are those of the records there are, also when as many were stored since as were
    erased.
    """

    async def routes() -> dict[str, int | None]:
        found = await store.read(FacetQuery(Filter(), ("route",)))
        return {value.value: value.count for value in found["route"]}

    records = [make_record(route_id="a") for _ in range(5)]
    await store.commit(make_batch(*records))
    assert await routes() == {"a": 5}
    await store.erase(make_filter(routes=("a",), seq_until=records[2].seq))
    assert await routes() == {"a": 2}
    await store.commit(
        Batch("sidecar-1", [Entry(make_record(route_id="b"), None) for _ in range(3)])
    )
    assert await routes() == {"a": 2, "b": 3}
    await store.commit(Batch("sidecar-1", [Entry(make_record(route_id="b"), None)]))
    assert await routes() == {"a": 2, "b": 4}
    await store.erase(make_filter(routes=("b",)))
    await store.commit(
        Batch("sidecar-1", [Entry(make_record(route_id="c"), None) for _ in range(4)])
    )
    assert await routes() == {"a": 2, "c": 4}
