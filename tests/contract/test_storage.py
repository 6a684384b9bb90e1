"""The storage contract, sentence by sentence (`storage/base.py`), over every backend."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from storage.base import Storage
from storage.errors import StorageRejected, StorageUnavailable
from storage.query import Count, CountQuery, Filter, RecordQuery, StatsQuery
from storage.record import Batch, Body, Entry, Payload, Position, Record
from storage.search.expression import Has, Like, Not
from tests.contract.backends import BACKENDS, Backend, usual
from tests.contract.listing import ALL, assert_untouched, listed
from tests.storage.samples import (
    SOURCE,
    make_batch,
    make_body,
    make_empty_record,
    make_full_record,
    make_payload,
    make_record,
)
from tests.support.filters import make_filter

LONE_SURROGATE = "\udc80"
TOO_LARGE = 1 << 63


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Every backend in turn: the memory, too."""
    chosen: Backend = request.param
    return chosen


# A batch is one transaction.


async def test_a_batch_is_visible_as_a_whole(store: Storage) -> None:
    """Rows, payloads, counts and positions of a batch are there after the commit."""
    first = make_record()
    second = make_full_record(kind="event")
    payload = make_payload()
    position = Position(
        offset=640, taken=3, stored=2, received=4, dropped={"corrupt": 1}, closed=True
    )
    last = await store.commit(
        Batch("sidecar-1", [Entry(first, payload), Entry(second)], {SOURCE: position})
    )
    assert 0 < first.seq < second.seq == last
    assert await listed(store) == [first, second]
    assert await store.payloads([first.seq, second.seq]) == {first.seq: payload}
    assert await store.positions("sidecar-1") == {SOURCE: position}
    assert await store.read(CountQuery(ALL)) == Count(exchanges=1, events=1)
    assert (await store.read(StatsQuery())).total == 3


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda record: {"path": LONE_SURROGATE}, id="surrogate in text"),
        pytest.param(
            lambda record: {"user_agent": LONE_SURROGATE}, id="surrogate in repeated text"
        ),
        pytest.param(
            lambda record: {"project": "new" + LONE_SURROGATE}, id="surrogate in a dimension"
        ),
        pytest.param(lambda record: {"model": LONE_SURROGATE}, id="surrogate in a rare column"),
        pytest.param(lambda record: {"response_bytes": TOO_LARGE}, id="number of 65 bits"),
        pytest.param(
            lambda record: {"started_at_us": -TOO_LARGE - 1}, id="negative number of 65 bits"
        ),
        pytest.param(
            lambda record: {"input_tokens": TOO_LARGE}, id="number of 65 bits in a rare column"
        ),
        pytest.param(lambda record: {"level": "fatal"}, id="unknown level"),
        pytest.param(lambda record: {"id": record.id}, id="id twice in the batch"),
    ],
)
async def test_a_refused_value_refuses_the_batch(
    store: Storage, spoil: Callable[[Record], dict[str, Any]]
) -> None:
    """One value no store can hold rejects all of its batch, which leaves no trace, and the store
    goes on.
    """
    await store.commit(make_batch(make_record(), offset=1))
    good = make_record(project="never seen", host="new.example.com")
    bad = make_record(**spoil(good))
    batch = make_batch(good, bad, offset=3)
    batch.entries[0].payload = make_payload()
    batch.retired = [SOURCE]
    with pytest.raises(StorageRejected):
        await store.commit(batch)
    await assert_untouched(store, 1)
    assert (await store.positions("sidecar-1"))[SOURCE].offset == 1
    assert await store.commit(make_batch(good, offset=2)) == good.seq
    assert (await listed(store))[1] == good
    assert await listed(
        store, make_filter(projects=("never seen",), hosts=("new.example.com",))
    ) == [good]


@pytest.mark.parametrize(
    "backend", usual(lambda backend: backend.kind != "clickhouse"), ids=lambda one: one.name
)
async def test_a_stored_id_is_refused(store: Storage) -> None:
    """An id that is stored already is rejected where the store can tell, and the batch leaves no
    trace.
    """
    first = make_record()
    await store.commit(make_batch(first, offset=1))
    with pytest.raises(StorageRejected):
        await store.commit(
            make_batch(make_record(), make_record(id=first.id), make_record(), offset=4)
        )

    await assert_untouched(store, 1)
    assert (await store.positions("sidecar-1"))[SOURCE].offset == 1


async def test_an_unstorable_payload_refuses_the_batch(store: Storage) -> None:
    """A payload with a value no store can hold rejects its batch."""
    body = Body(b"x", b"", 1, False, LONE_SURROGATE, None)
    with pytest.raises(StorageRejected):
        await store.commit(
            Batch("sidecar-1", [Entry(make_record(), Payload(b"", b"", body, None))])
        )
    await assert_untouched(store, 0)


# Positions.


async def test_positions_are_absolute_and_can_be_retired(store: Storage) -> None:
    """A batch without entries replaces positions and removes retired ones, of its instance only."""
    other = bytes(16)
    await store.commit(
        Batch("sidecar-1", [], {SOURCE: Position(offset=10, stored=1), other: Position(offset=5)})
    )
    await store.commit(Batch("sidecar-2", [], {SOURCE: Position(offset=99)}))
    await store.commit(Batch("sidecar-1", [], {SOURCE: Position(offset=12, taken=3)}, [other]))
    assert await store.positions("sidecar-1") == {SOURCE: Position(offset=12, taken=3)}
    assert await store.positions("sidecar-2") == {SOURCE: Position(offset=99)}
    assert await store.positions("sidecar-3") == {}
    await assert_untouched(store, 0)


# `seq` has a stable prefix; readers never block the writer and see only committed rows.


async def test_a_reader_of_greater_than_misses_nothing(store: Storage) -> None:
    """Readers of the stable prefix, while batches are committed, see every row once, in order;
    dense, whole batches.
    """
    batches = 30
    size = 40
    stored = list[Record]()

    async def follow() -> list[int]:
        seen: list[int] = []
        while len(seen) < batches * size:
            stable = Filter(kind="all", seq_until=await store.last_seq())
            assert store.has_late_prefix or (await store.last_seq()) % size == 0
            page = await store.read(
                RecordQuery(filter=stable, order="asc", limit=77, after=seen[-1] if seen else None)
            )
            seen += [record.seq for record in page.records]
            await asyncio.sleep(0)

        return seen

    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(follow()) for _ in range(6)]
        for number in range(batches):
            records = [make_record(path=f"/{number}") for _ in range(size)]
            await store.commit(make_batch(*records))
            stored += records

    for reader in readers:
        assert reader.result() == [record.seq for record in stored]


# Records are immutable; any value is kept.


async def test_a_record_changed_after_the_commit_is_not_changed_in_the_store(
    store: Storage,
) -> None:
    """The store keeps what was committed, whatever becomes of the caller's objects."""
    record = make_record()
    payload = make_payload()
    await store.commit(Batch("sidecar-1", [Entry(record, payload)]))
    record.path = "/changed"
    payload.request_head = b"changed"
    found = await store.get(record.id)
    assert found is not None
    found.path = "/changed too"
    (await listed(store))[0].path = "/changed too"
    assert (await listed(store))[0].path == "/items"
    assert (await store.payloads([record.seq]))[record.seq].request_head != b"changed"


@pytest.mark.parametrize("make", [make_record, make_full_record, make_empty_record])
async def test_every_field_is_kept(store: Storage, make: Callable[[], Record]) -> None:
    """A record reads back equal, by list and by id, with and without its nullable fields."""
    record = make()
    await store.commit(make_batch(record))
    assert await listed(store) == [record]
    assert await store.get(record.id) == record


async def test_an_unknown_id_is_none(store: Storage) -> None:
    """An id that is not stored, of whatever length, is None."""
    await store.commit(make_batch(make_record()))
    assert await store.get(bytes(16)) is None
    assert await store.get(b"") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0",
        "a\0b",
        "0",
        "-1",
        "null",
        "%_\\'\"",
        "\U0001f600",
        "\uffff\U0010ffff",
        "é" * 3,
        "x" * 1_500_000,
    ],
    ids=lambda text: repr(text[:10]),
)
async def test_any_text_is_kept(store: Storage, text: str) -> None:
    """Text reads back as it was, in every column, told apart from null."""
    columns = (
        "path", "query", "host", "user_agent", "client_ip", "trace_id", "span_id", "request_id", "project", "method",
        "error_type", "key_name", "user_id",
    )  # fmt: skip
    record = make_full_record(**dict.fromkeys(columns, text))
    empty = make_empty_record()
    await store.commit(make_batch(record, empty))
    assert await listed(store) == [record, empty]
    assert await listed(
        store, make_filter(path_contains=text, trace_id=text, projects=(text,), hosts=(text,))
    ) == [record]


async def test_redactions_of_any_name_are_kept_and_found(store: Storage) -> None:
    """However many there are, however long, and whatever they consist of: each is found by exactly
    its own id.
    """
    odd = {"name:" + "x" * 10_000: 3, 'name:a\0\n"b': 1, "name:\x1b[2J": 2**62, "": 1}
    many = {f"name:n{number}": number for number in range(1, 41)}
    records = [
        make_record(redactions=each)
        for each in (odd, many, {"github-token": 1}, None, {"github-token": 2})
    ]
    await store.commit(make_batch(*records))
    assert await listed(store) == records
    assert await store.get(records[0].id) == records[0]
    for place, redactions in enumerate((odd, many)):
        for redaction in redactions:
            assert await listed(store, make_filter(redacted=(redaction,))) == [records[place]]
    assert await listed(store, make_filter(redacted=("github-token", "name:n7"))) == [
        records[n] for n in (1, 2, 4)
    ]
    assert await listed(store, make_filter(redacted=("name:n", "n7", "name:x"))) == []
    assert await listed(store, Filter(where=Has("redacted"))) == [records[n] for n in (0, 1, 2, 4)]
    assert await listed(store, Filter(where=Not(Has("redacted")))) == [records[3]]
    assert await listed(store, Filter(where=Like("redacted", ("NAME:N4", "")))) == [records[1]]
    assert await listed(store, Filter(where=Like("redacted", ("github-token", "name:")))) == []


async def test_extreme_numbers_are_kept(store: Storage) -> None:
    """The largest and smallest numbers of 64 bits, and odd statuses, read back as they were."""
    numbers = {
        "duration_us": 2**63 - 1,
        "started_at_us": -(2**63),
        "ended_at_us": 0,
        "connect_us": 0,
    }
    record = make_full_record(
        status=999, input_tokens=2**63 - 1, output_tokens=0, cost_usd=5e-324, **numbers
    )
    await store.commit(make_batch(record))
    assert await listed(store) == [record]


# Payloads.


async def test_payloads_of_every_size_are_kept(store: Storage) -> None:
    """Heads and bodies read back as they were, from nothing to a megabyte, whatever block they
    share.
    """
    sizes = [0, 1, 100, 30_000, 40_000, 65_535, 65_536, 65_537, 1_000_000, 5, 20_000] + [2000] * 100
    given: list[Payload | None] = [
        Payload(
            b"h" * (size % 999),
            b"r",
            make_body(bytes([size % 251]) * size, b"tail"),
            make_body(b"%d" % size),
        )
        for size in sizes
    ]
    given += [
        None,
        Payload(b"", b"", None, None),
        Payload(b"a", b"b", None, make_body(b"\0"), [(1, 2)]),
    ]
    given += [
        Payload(b"a", b"b", None, None, [], b"T: 1\r\nT: 2", b""),
        Payload(b"", b"", None, None, [], b"", b"\0\xff"),
        Payload(b"a", b"b", Body(b"c", b"", 1, False, None, None, "gzip: not coded"), None),
        Payload(b"a", b"b", None, Body(b"d", b"", 1, False, "br", None, None, "shift_jis")),
    ]
    entries = [Entry(make_record(), payload) for payload in (*given, make_payload())]
    await store.commit(Batch("sidecar-1", entries[:-1]))
    await store.commit(Batch("sidecar-1", entries[-1:]))
    expected = {entry.record.seq: entry.payload for entry in entries if entry.payload is not None}
    assert await store.payloads(list(expected)) == expected
    some = entries[8].record.seq, entries[2].record.seq
    assert await store.payloads([*some, some[1]]) == {seq: expected[seq] for seq in some}


async def test_payloads_of_unknown_rows_are_left_out(store: Storage) -> None:
    """Numbers that are no row, or no number a store can hold, have no payload."""
    first = make_record()
    second = make_record()
    await store.commit(Batch("sidecar-1", [Entry(first, make_payload()), Entry(second)]))
    found = await store.payloads([0, -1, first.seq, second.seq, second.seq + 1, TOO_LARGE])
    assert found == {first.seq: make_payload()}
    assert await store.payloads([]) == {}


# Around it.


async def test_info_describes_the_store(store: Storage, backend: Backend) -> None:
    """An operator reads which store it is and how much is in it."""
    last = await store.commit(make_batch(*[make_record() for _ in range(5)]))
    info = await store.info()
    assert (info.backend, info.rows, info.last_seq) == (backend.kind, 5, last)
    assert info.schema_version >= 1
    assert (info.size_bytes > 0) == backend.is_durable


async def test_a_closed_store_is_unavailable(backend: Backend, tmp_path: Path) -> None:
    """Closing twice is allowed; every call after it is told that the store is unavailable."""
    store = await backend.open(tmp_path)
    await store.close()
    await store.close()
    calls: list[Callable[[], Any]] = [
        lambda: store.commit(make_batch(make_record())),
        lambda: store.positions("sidecar-1"),
        lambda: store.read(RecordQuery()),
        lambda: store.read(CountQuery(Filter())),
        lambda: store.read(StatsQuery()),
        lambda: store.get(bytes(16)),
        lambda: store.payloads([1]),
        store.last_seq,
        store.info,
    ]
    for call in calls:
        with pytest.raises(StorageUnavailable):
            await call()


def test_samples_cover_every_field() -> None:
    """The full sample has no null, so that round trips test every field."""
    assert None not in msgspec.structs.astuple(make_full_record())
