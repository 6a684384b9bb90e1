"""Tool calls, over every backend that keeps them (`storage/tools.py`)."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from storage.errors import StorageRejected
from storage.query import Filter, Scope
from storage.record import Batch, Entry, ToolCall
from storage.relational.time_ranges import HOUR_US
from storage.tools import (
    ToolFilter,
    ToolKey,
    ToolQuery,
    ToolStats,
    ToolStatsQuery,
    ToolValuesQuery,
    matches,
    search_text,
)
from tests.contract.backends import usual
from tests.storage.samples import START_US, make_record

START = START_US // HOUR_US * HOUR_US


def make_call(**changes: Any) -> ToolCall:
    """Make a successful call, not yet belonging to a record."""
    call = ToolCall(
        record_id=b"",
        started_at_us=START,
        created_at_us=START + 9000,
        tool_name="add",
        server_label="demo",
        status="success",
        latency_us=1500,
        cost_usd=0.25,
        arguments=b'{"a": 1}',
        result=b'{"content": []}',
        metadata=b'{"method": "tools/call"}',
        rpc_id='"7"',
        session="ab12",
        project="shop",
        container="cnt",
        client="acme",
        key_id="key-1",
        key_name="mobile",
        key_last4="a1b2",
    )
    return msgspec.structs.replace(call, **changes)


async def keep(store: Any, *calls: ToolCall) -> list[ToolCall]:
    """Store each call with a record of its own; return them as they should be read back."""
    entries = []
    for call in calls:
        record = make_record(started_at_us=call.started_at_us)
        call.record_id = record.id
        call.search = search_text(call.arguments, call.result)
        entries.append(Entry(record, None, [call]))

    await store.commit(Batch("sidecar-1", entries))
    return list(calls)


async def listed(store: Any, filter: ToolFilter | None = None, **more: Any) -> list[ToolCall]:
    """Read one long page."""
    page = await store.read(ToolQuery(filter=filter or ToolFilter(), limit=1000, **more))
    assert page.complete
    calls: list[ToolCall] = page.calls
    return calls


async def seq_of(store: Any, call: ToolCall) -> int:
    """The number of the record that a call was stored with."""
    seq: int = (await store.get(call.record_id)).seq
    return seq


def names_of(calls: Sequence[ToolCall]) -> list[str]:
    """The tools of calls, in order."""
    return [call.tool_name for call in calls]


async def test_calls_are_read_back_as_they_were_stored(store: Any) -> None:
    """Every field, with and without values, alone and in lists; several calls of one record by
    position.
    """
    record = make_record()
    full = make_call(
        record_id=record.id, llm_request_id="req-1", error_details=b"{}", status="error", search="x"
    )
    bare = ToolCall(
        record_id=record.id, position=1, started_at_us=START + 1, created_at_us=2, tool_name="t", server_label="s",
        status="success",
    )  # fmt: skip
    await store.commit(Batch("sidecar-1", [Entry(record, None, [full, bare])]))
    assert await store.tool_call(record.id, 0) == full
    assert await store.tool_call(record.id, 1) == bare
    assert await store.tool_calls_of(record.seq) == [full, bare]
    assert await listed(store) == [bare, full]
    assert await store.tool_call(record.id, 2) is None
    assert await store.tool_call(bytes(16), 0) is None
    assert await store.tool_call(record.id, 1 << 70) is None
    assert await store.tool_calls_of(999) == []


@pytest.mark.parametrize(
    "backend", usual(lambda backend: backend.kind != "clickhouse"), ids=lambda one: one.name
)
async def test_a_call_is_stored_once(store: Any) -> None:
    """A second one with the same id is refused where the store can tell, and its batch leaves
    nothing.
    """
    (call,) = await keep(store, make_call())
    with pytest.raises(StorageRejected):
        await store.commit(Batch("sidecar-1", [Entry(make_record(), None, [call])]))
    assert (await store.info()).rows == 1
    assert len(await listed(store)) == 1


FILTERS = [
    ToolFilter(),
    ToolFilter(tool_names=("add", "none")),
    ToolFilter(tool_names=("none",)),
    ToolFilter(server_labels=("demo",)),
    ToolFilter(statuses=("error",)),
    ToolFilter(statuses=("success", "processing")),
    ToolFilter(statuses=("processing",)),
    ToolFilter(key_ids=("key-2",)),
    ToolFilter(llm_request_ids=("req-2", "req-9")),
    ToolFilter(since_us=START + 2 * HOUR_US),
    ToolFilter(until_us=START + 2 * HOUR_US),
    ToolFilter(since_us=START + HOUR_US, until_us=START + HOUR_US),
    ToolFilter(min_latency_us=2000),
    ToolFilter(max_latency_us=2000),
    ToolFilter(min_latency_us=1 << 70),
    ToolFilter(content="ÖL"),
    ToolFilter(content="100%_"),
    ToolFilter(content="straSSE"),
    ToolFilter(content="\ud800"),
    ToolFilter(tool_names=("\udc00",)),
    ToolFilter(scope=Scope(projects=("shop",))),
    ToolFilter(scope=Scope(projects=("shop",), clients=("other",))),
    ToolFilter(scope=Scope(containers=("nowhere",))),
]


async def test_filters_mean_what_they_say(store: Any) -> None:
    """Pages and figures agree with `matches` for every filter."""
    calls = await keep(
        store,
        make_call(arguments='{"q": "Öl und 100%_"}'.encode()),
        make_call(
            tool_name="sub",
            status="error",
            latency_us=None,
            cost_usd=0.0,
            started_at_us=START + HOUR_US,
        ),
        make_call(
            key_id="key-2", key_name=None, latency_us=2000, started_at_us=START + 2 * HOUR_US
        ),
        make_call(
            server_label="other", llm_request_id="req-2", result=b'{"t": "Stra\\u00dfe \\u00f6l"}'
        ),
        make_call(
            project=None,
            container=None,
            client=None,
            key_id=None,
            key_name=None,
            key_last4=None,
            latency_us=0,
        ),
        make_call(project="other", client="other", started_at_us=START + 3 * HOUR_US),
    )
    for filter in FILTERS:
        expected = [call for call in calls if matches(filter, call)]
        found = await listed(store, filter)
        assert sorted(call.record_id for call in found) == sorted(
            call.record_id for call in expected
        ), filter
        stats: ToolStats = await store.read(ToolStatsQuery(filter))
        times = [call.latency_us for call in expected if call.latency_us is not None]
        assert stats == ToolStats(
            len(expected),
            sum(call.status == "success" for call in expected),
            len(times),
            sum(times),
            pytest.approx(sum(call.cost_usd for call in expected)),  # type: ignore[arg-type]  # compares like a float
            stored=len(expected),
        ), filter

    assert len([filter for filter in FILTERS if any(matches(filter, call) for call in calls)]) > 15


async def test_order_and_pages(store: Any) -> None:
    """Each sort key both ways, ties by storing, offsets behind the end are empty."""
    await keep(
        store,
        make_call(tool_name="a", latency_us=5, cost_usd=0.5),
        make_call(tool_name="b", latency_us=None, cost_usd=0.0, started_at_us=START + 5),
        make_call(tool_name="c", latency_us=5, cost_usd=0.25, started_at_us=START - 5),
        make_call(tool_name="d", latency_us=9, cost_usd=0.5),
    )
    assert names_of(await listed(store)) == ["b", "d", "a", "c"]
    assert names_of(await listed(store, order="asc")) == ["c", "a", "d", "b"]
    assert names_of(await listed(store, sort="latency")) == ["d", "c", "a", "b"]
    assert names_of(await listed(store, sort="latency", order="asc")) == ["b", "a", "c", "d"]
    assert names_of(await listed(store, sort="cost")) == ["d", "a", "c", "b"]
    page = await store.read(ToolQuery(limit=2, offset=1))
    assert names_of(page.calls) == ["d", "a"]
    assert (await store.read(ToolQuery(limit=2, offset=1 << 70))).calls == []
    assert (await store.read(ToolQuery(limit=0))).calls == []


async def test_values_are_those_of_the_scope(store: Any) -> None:
    """Names to filter by, sorted, of what a reader may see."""
    await keep(
        store,
        make_call(tool_name="z"),
        make_call(tool_name="a", server_label="b", key_id=None, key_name=None),
        make_call(project="other", tool_name="secret", key_id="key-9", key_name=None),
    )
    values = await store.read(ToolValuesQuery(ToolFilter(scope=Scope(projects=("shop",)))))
    assert (values.tool_names, values.server_labels, values.keys) == (
        ["a", "z"],
        ["b", "demo"],
        [ToolKey("key-1", "mobile")],
    )
    assert values.is_used
    assert (await store.read(ToolValuesQuery())).tool_names == ["a", "secret", "z"]
    empty = await store.read(ToolValuesQuery(ToolFilter(scope=Scope(projects=("nobody",)))))
    assert not empty.is_used


async def test_a_key_is_listed_once_whatever_it_was_called(store: Any) -> None:
    """By the name it was used with last, also within an hour and among keys without one."""
    await keep(
        store,
        make_call(key_name="older", started_at_us=START - 2 * HOUR_US),
        make_call(key_name="zebra", started_at_us=START - HOUR_US),
        make_call(key_name="between", started_at_us=START, tool_name="other"),
        make_call(key_id="key-0", key_name=None),
    )
    await keep(store, make_call(key_name="newest", started_at_us=START + 1))
    values = await store.read(ToolValuesQuery())
    assert values.keys == [ToolKey("key-0", None), ToolKey("key-1", "newest")]


async def test_calls_go_with_their_records(store: Any) -> None:
    """Retention hides, then deletes them; erasing a record erases its calls; figures follow at
    once.
    """
    old, new, erased = await keep(
        store,
        make_call(tool_name="old", started_at_us=START - HOUR_US),
        make_call(tool_name="new"),
        make_call(tool_name="erased"),
    )
    after = await seq_of(store, new)
    until = await seq_of(store, erased)
    await store.move_floors(START, START)
    assert names_of(await listed(store)) == ["erased", "new"]
    assert (await store.read(ToolStatsQuery(ToolFilter()))).executions == 2
    assert await store.tool_call(old.record_id, 0) is None
    while not (await store.purge(100)).is_done:
        pass
    await store.erase(Filter(seq_after=after, seq_until=until))
    assert names_of(await listed(store)) == ["new"]
    assert (await store.read(ToolStatsQuery(ToolFilter()))).executions == 1
    assert (await store.read(ToolValuesQuery())).tool_names == ["new"]
    assert await store.tool_call(erased.record_id, 0) is None
    assert await store.tool_call(new.record_id, 0) == new


async def test_a_call_goes_with_the_record_that_asked_for_it(store: Any) -> None:
    """What it asked was in that request, wherever the answer came; others that were answered there
    stay.
    """
    erased = make_record()
    left = make_record()
    stream = make_record()
    await store.commit(Batch("sidecar-1", [Entry(erased), Entry(left)]))
    asked = make_call(record_id=erased.id, tool_name="erased")
    other = make_call(record_id=left.id)
    await store.commit(Batch("sidecar-1", [Entry(stream, None, [asked, other])]))
    await store.erase(Filter(seq_until=erased.seq))
    assert await listed(store) == await store.tool_calls_of(stream.seq) == [other]
    assert await store.tool_call(erased.id, 0) is None
    assert (await store.read(ToolStatsQuery(ToolFilter()))).executions == 1
    assert (await store.read(ToolValuesQuery())).tool_names == ["add"]


async def test_bodies_go_before_their_rows(store: Any) -> None:
    """Below the floor of bodies, arguments and results are gone, and nothing is found by them."""
    (call,) = await keep(
        store, make_call(started_at_us=START - HOUR_US, arguments=b'{"q": "needle"}')
    )
    assert len(await listed(store, ToolFilter(content="needle"))) == 1
    await store.move_floors(0, START)

    for _ in range(2):
        (found,) = await listed(store)
        assert (found.arguments, found.result, found.search) == (None, None, "")
        assert replace_id(found) == replace_id(call)
        assert await listed(store, ToolFilter(content="needle")) == []
        while not (await store.purge(100)).is_done:
            pass


def replace_id(call: ToolCall) -> tuple[object, ...]:
    """What stays of a call."""
    return call.record_id, call.tool_name, call.status, call.latency_us, call.cost_usd


def test_search_text_is_folded_decoded_and_bounded() -> None:
    """Escapes are read, case goes, the length is bounded in bytes, and nothing fails."""
    assert search_text(b'{"a": "Stra\\u00dfe"}', None, b"\xff {") == '{"a": "strasse"}\n\ufffd {'
    assert search_text(rb'["\u0022\u000a"]') == r'["\"\n"]'
    assert (
        search_text(rb'["\ud83d\ude00\ud83d\udE00 \ud800 \u00e9 \u003C"]') == r'["😀😀 \ud800 é <"]'
    )
    assert len(search_text("ö".encode() * 20_000).encode()) <= 16 * 1024
    assert search_text(b"[" * 100_000 + b"\\u0041")
    assert replace(ToolFilter(), content="").content == ""


async def test_a_waiting_call_is_kept_until_its_answer_comes(store: Any) -> None:
    """It is no row of any answer; the one with the answer takes its place, whichever of them is
    committed first.
    """
    asking = make_record()
    hearing = make_record()
    late = make_record()
    waits = make_call(record_id=asking.id, status="processing", latency_us=None, result=None)
    await store.commit(Batch("sidecar-1", [Entry(asking, None, [waits])]))
    assert await store.waiting_calls("sidecar-1") == [waits]
    assert await store.waiting_calls("sidecar-2") == []
    assert (await store.read(ToolQuery())).calls == []
    assert await store.read(ToolStatsQuery(ToolFilter())) == ToolStats()
    assert await store.tool_call(asking.id, 0) is None
    ended = make_call(record_id=asking.id)
    await store.commit(Batch("sidecar-1", [Entry(hearing, None, [ended])]))
    assert await store.waiting_calls("sidecar-1") == []
    assert await store.tool_call(asking.id, 0) == ended
    await store.commit(Batch("sidecar-1", [Entry(late, None, [waits])]))
    assert await store.waiting_calls("sidecar-1") == []
    assert (await store.read(ToolQuery())).calls == [ended]


async def test_a_waiting_call_and_its_answer_in_one_batch(store: Any) -> None:
    """Only the answer is kept."""
    asking = make_record()
    hearing = make_record()
    waits = make_call(record_id=asking.id, status="processing", latency_us=None, result=None)
    ended = make_call(record_id=asking.id)
    await store.commit(
        Batch("sidecar-1", [Entry(asking, None, [waits]), Entry(hearing, None, [ended])])
    )
    assert await store.waiting_calls("sidecar-1") == []
    assert (await store.read(ToolQuery())).calls == [ended]


async def test_a_waiting_call_goes_with_its_record(store: Any) -> None:
    """Erased or purged: nothing of what was asked is left."""
    for attempt in ("erase", "purge"):
        asking = make_record(started_at_us=START)
        waits = make_call(record_id=asking.id, status="processing", started_at_us=START)
        await store.commit(Batch("sidecar-1", [Entry(asking, None, [waits])]))
        assert await store.waiting_calls("sidecar-1") == [waits]

        if attempt == "erase":
            await store.erase(Filter(kind="all"))
        else:
            await store.move_floors(START + HOUR_US, START + HOUR_US)
            while not (await store.purge(100)).is_done:
                pass

        assert await store.waiting_calls("sidecar-1") == []


@pytest.mark.parametrize(
    "content",
    [
        'a "quoted" word',
        r"C:\temp",
        "two\nlines",
        "ZÜRICH",
        r"with \"escapes\"",
        "plain",
        r"C:\\temp",
    ],
)
async def test_content_is_found_as_a_person_writes_it(store: Any, content: str) -> None:
    """In a JSON string, and in the text of a document that is a string itself."""
    value = content.replace(r"\\", "\\") if content == r"C:\\temp" else content.lower()
    (inside, nested, other) = await keep(
        store,
        make_call(arguments=msgspec.json.encode({"text": f"say {value} twice"})),
        make_call(
            arguments=msgspec.json.encode({"text": msgspec.json.encode({"x": value}).decode()})
        ),
        make_call(arguments=b'{"text": "nothing of it"}'),
    )
    found = await listed(store, ToolFilter(content=content))
    assert inside.record_id in {call.record_id for call in found}
    assert nested.record_id in {call.record_id for call in found}
    assert other.record_id not in {call.record_id for call in found}
    assert (await store.read(ToolStatsQuery(ToolFilter(content=content)))).executions == 2


@pytest.mark.parametrize(
    "content", ["https://a.example/x", "Café", "<b>", "😀", "café/ü", r"https:\/\/a", r"caf\u00e9"]
)
@pytest.mark.parametrize("level", [1, 2])
async def test_characters_that_were_escaped_without_need_are_found(
    store: Any, content: str, level: int
) -> None:
    """As PHP, Python and Go write them, in a string, and in the text of a document that is a string
    itself.
    """
    value: Any = "see https://a.example/x at café/ü, <b>😀"
    for _ in range(level):
        value = json.dumps({"text": value}).replace("/", "\\/").replace("<", "\\u003c")
    (call, _) = await keep(
        store, make_call(result=value.encode()), make_call(result=b'{"text": "cafe"}')
    )
    found = await listed(store, ToolFilter(content=content))
    assert [each.record_id for each in found] == [call.record_id]


async def test_an_end_of_the_log_bounds_pages_and_totals(store: Any) -> None:
    """Calls that were stored later are in neither; with other filters too."""
    calls = await keep(store, *(make_call(tool_name=name) for name in ("a", "b", "a")))
    await keep(store, make_call(tool_name="a"), make_call(tool_name="c"))
    filter = ToolFilter(seq_until=await seq_of(store, calls[-1]))
    assert {call.record_id for call in await listed(store, filter)} == {
        call.record_id for call in calls
    }
    assert (await store.read(ToolStatsQuery(filter))).executions == 3
    assert (await store.read(ToolStatsQuery(replace(filter, tool_names=("a",))))).executions == 2
    assert (await store.read(ToolStatsQuery(replace(filter, seq_until=0)))).executions == 0
    assert (await store.read(ToolStatsQuery(replace(filter, seq_until=1 << 70)))).executions == 5
