"""Filters on what an exchange was: LLM calls, tools, and text anywhere in it."""

from typing import Any

from storage.base import Storage
from storage.query import CountQuery, Filter, RecordQuery, SummaryQuery
from storage.record import Batch, Entry, Payload, Record, ToolCall
from storage.search.expression import Substring
from tests.storage.samples import START_US, make_body, make_record
from tests.support.filters import make_filter


async def found(store: Storage, batch: Batch, **filter: Any) -> list[int]:
    """The records of a filter, numbered as in the batch; the other ways to ask agree."""
    wanted = make_filter(kind="all", **filter)
    page = await store.read(RecordQuery(filter=wanted, order="asc"))
    assert page.complete
    count = await store.read(CountQuery(wanted))
    assert (count.exchanges + count.events, count.exact) == (len(page.records), True)
    assert (await store.read(SummaryQuery(wanted))).exchanges == count.exchanges
    numbers = {entry.record.seq: number for number, entry in enumerate(batch.entries, 1)}
    return [numbers[record.seq] for record in page.records]


async def test_llm_calls(store: Storage) -> None:
    """By provider, by requested model, and all of them."""
    batch = Batch(
        "sidecar-1",
        [
            Entry(make_record()),
            Entry(make_record(provider="openai", model="gpt", usage_state="exact")),
            Entry(make_record(provider="anthropic", model="claude", resolved_model="gpt")),
        ],
    )
    await store.commit(batch)
    assert await found(store, batch, is_llm=True) == [2, 3]
    assert await found(store, batch, providers=("openai",)) == [2]
    assert await found(store, batch, providers=("openai", "anthropic", "none")) == [2, 3]
    assert await found(store, batch, models=("gpt",)) == [2, 3]
    assert await found(store, batch, models=("none",)) == []
    assert await found(store, batch, is_llm=True, models=("claude",), providers=("openai",)) == []


def entry(record: Record, request: bytes = b"", response: bytes = b"", tool: str = "") -> Entry:
    """An entry with bodies, and with a tool call when one is named."""
    payload = Payload(
        b"GET /", b"HTTP/1.1 200", make_body(request), make_body(response[:5], response[5:])
    )
    call = ToolCall(
        record_id=record.id,
        started_at_us=START_US,
        created_at_us=1,
        tool_name=tool,
        server_label="s",
        status="success",
    )
    return Entry(record, payload, [call] if tool else [])


async def test_tools_and_text(store: Storage) -> None:
    """Records that hold a call of a tool; text in path, error and both windows of bodies,
    literally.
    """
    batch = Batch(
        "sidecar-1",
        [
            entry(make_record(path="/Needle"), tool="add"),
            entry(make_record(error_type="no_NEEDLE_found"), tool="sub"),
            entry(make_record(), b'{"text": "a Needle"}'),
            entry(make_record(), b"x", b"01234 needle \xff\x00"),
            entry(make_record(path=None), b"gzip 100% \xc3\x96l_"),
            Entry(make_record(kind="event", path=None, name="needle")),
        ],
    )
    await store.commit(batch)
    assert await found(store, batch, tools=("add",)) == [1]
    assert await found(store, batch, tools=("add", "sub", "none")) == [1, 2]
    assert await found(store, batch, tools=("none",)) == []
    assert await found(store, batch, where=Substring("nEEdle")) == [1, 2, 3, 4]
    assert await found(store, batch, where=Substring("nEEdle"), tools=("sub",)) == [2]
    assert await found(store, batch, where=Substring("needle"), min_duration_us=10**9) == []
    assert await found(store, batch, where=Substring("100% \u00d6l_")) == [5]
    assert await found(store, batch, where=Substring("%")) == [5]
    assert await found(store, batch, where=Substring("\ud800")) == []
    assert await found(store, batch) == [1, 2, 3, 4, 5, 6]
    await store.move_floors(0, START_US + 1)
    assert await found(store, batch, where=Substring("needle")) == [1, 2]
    await store.erase(Filter(kind="all", where=Substring("no_needle")))
    assert await found(store, batch) == [1, 3, 4, 5, 6]


async def test_text_in_many_blocks(store: Storage) -> None:
    """Bodies of many blocks are searched, forwards and backwards, also behind an offset."""
    for start in range(0, 60, 20):
        entries = [
            entry(
                make_record(path=f"/{number}"),
                bytes([number]) * 9000 + (b"needle" if number % 3 == 0 else b""),
            )
            for number in range(start, start + 20)
        ]
        await store.commit(Batch("sidecar-1", entries))

    wanted = Filter(where=Substring("needle"))
    page = await store.read(RecordQuery(filter=wanted, limit=5, offset=2))
    assert [record.path for record in page.records] == ["/51", "/48", "/45", "/42", "/39"]
    assert (await store.read(CountQuery(wanted))).exchanges == 20
