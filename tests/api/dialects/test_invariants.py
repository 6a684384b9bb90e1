"""One log, five readings: the documents' invariants over random records, and that the five agree
with each other.
"""

from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given, settings
from hypothesis import strategies as st

from api.access.stream_limits import StreamLimits
from api.app import make_app
from api.dialects.gateway import format_request_id
from storage.record import Entry, Record, ToolCall, format_id, parse_id
from tests.api.conftest import World, ask
from tests.api.samples import START_US, make_event, make_record
from tests.support.memory_store import MemoryStorage

TEXTS = st.none() | st.sampled_from(["a", "b", "\u00e4 \U0001f600", "<script>", "unknown", ""])
SMALL = st.none() | st.integers(0, 10**9)
EXCHANGES = st.fixed_dictionaries(
    {
        "status": st.none() | st.integers(100, 599), "duration_us": st.integers(0, 10**10), "project": TEXTS,
        "container": TEXTS, "service": TEXTS, "query": TEXTS, "error_type": TEXTS, "model": TEXTS, "provider": TEXTS,
        "input_tokens": SMALL, "output_tokens": SMALL, "request_bytes": st.integers(0, 10**12), "keyed": st.booleans(),
        "outcome": st.sampled_from(["ok", "rejected", "client_closed", "upstream_timeout", "truncated"]),
        "upstream_sent_at_us": SMALL, "upstream_done_at_us": SMALL, "first_byte_us": SMALL,
    }
)  # fmt: skip
LOGS = st.lists(st.none() | EXCHANGES, max_size=12)


def make_log(shapes: list[dict[str, Any] | None]) -> list[Record]:
    """Make records: an event where there is no shape."""
    log = []
    for number, shape in enumerate(shapes, 1):
        if shape is None:
            log.append(make_event(number))
        else:
            record = make_record(number, **shape)
            record.ended_at_us = record.started_at_us + record.duration_us
            log.append(record)

    return log


@given(shapes=LOGS)
async def test_the_five_readings_agree(shapes: list[dict[str, Any] | None]) -> None:
    """Sums of statistics, ids and pairs, order, units: as the documents have them, and the same in
    each of them.
    """
    world = World(MemoryStorage(), limits=StreamLimits(0))
    log = make_log(shapes)
    await world.store(*log)

    async with TestClient(TestServer(make_app(world.services()))) as client:
        gateway = await ask(client, "/v1/requests?limit=500")
        entries = await ask(client, "/api/proxy-logs/_logs?limit=1000")
        stats = await ask(client, "/api/proxy-logs/_logs/stats")
        calls = await ask(client, "/api/request-logs?limit=200")
        requests = (
            await ask(client, "/api/clients/acme/proxies/default/requests")
            if any(shapes)
            else {"requests": []}
        )
        tools = await ask(client, "/api/mcp-logs")

    exchanges = [record for record in log if record.kind == "exchange"]
    check_gateway(gateway, exchanges)
    check_entries(entries, log)
    check_stats(stats, log)
    assert calls["total"] == len(calls["logs"]) == sum(record.keyed for record in exchanges)
    assert [row["latency_ms"] for row in calls["logs"]] == [
        r.duration_us // 1000 for r in exchanges[::-1] if r.keyed
    ]
    check_requests(requests["requests"], exchanges)
    assert tools["logs"] == []
    assert not tools["has_logs"]
    assert set(tools["stats"].values()) == {0}


def check_gateway(answer: dict[str, Any], exchanges: list[Record]) -> None:
    """Gateway requests: every exchange, newest first, unknown numbers null."""
    assert answer["total"] == len(exchanges)
    assert [row["id"] for row in answer["data"]] == [
        format_request_id(record.id) for record in exchanges[::-1]
    ]
    for row, record in zip(answer["data"], exchanges[::-1], strict=True):
        assert parse_id(row["id"]) == record.id
        assert row["latency_ms"] == record.duration_us // 1000
        assert (row["input_tokens"], row["output_tokens"]) == (
            record.input_tokens,
            record.output_tokens,
        )
        is_failure = (
            (record.status or 0) >= 400 or record.error_type is not None or record.outcome != "ok"
        )
        assert row["error"] is None or is_failure


def check_entries(answer: dict[str, Any], log: list[Record]) -> None:
    """Proxy logs: ids rise and are pairs, both halves share everything but time and data."""
    entries = answer["entries"]
    assert (
        answer["total"]
        == len(entries)
        == sum(2 if record.kind == "exchange" else 1 for record in log)
    )
    ids = [entry["id"] for entry in entries]
    assert ids == sorted(set(ids))
    for entry in entries:
        assert (entry["kind"] == "request") == bool(entry["id"] % 2)
    halves = {entry["id"]: entry for entry in entries}
    for entry in entries:
        if entry["kind"] == "request":
            other = halves[entry["id"] + 1]
            shared = entry.keys() - {"id", "tsMs", "tsIso", "kind", "data"}
            assert {name: entry[name] for name in shared} == {name: other[name] for name in shared}
            assert entry["tsMs"] <= other["tsMs"]


def check_stats(stats: dict[str, Any], log: list[Record]) -> None:
    """Proxy logs: each dimension sums to the total, all four levels are there."""
    total = sum(2 if record.kind == "exchange" else 1 for record in log)
    assert stats["total"] == total
    assert list(stats["byLevel"]) == ["debug", "info", "warn", "error"]
    for name in ("byLevel", "byProject", "byContainer", "byService"):
        assert sum(stats[name].values()) == total


def check_requests(rows: list[dict[str, Any]], exchanges: list[Record]) -> None:
    """Requests API: newest first by id, seconds that are the milliseconds, targets only where
    something was sent.
    """
    assert [row["sKey"] for row in rows] == [format_id(record.id) for record in exchanges[::-1]]
    for row, record in zip(rows, exchanges[::-1], strict=True):
        proxy = row["proxyData"]
        assert round(proxy["duration"] * 1000) == proxy["sentAt"] - proxy["receivedAt"]
        assert (row["targetData"] is None) == (record.upstream_sent_at_us is None)
        assert row["validationData"]["requestSent"] == (record.upstream_sent_at_us is not None)
        assert len(row["validationData"]) == 20


NAMES = st.sampled_from(["a", "b", "\u00e4 \U0001f600", "%"])
TOOL_CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "status": st.sampled_from(["success", "error", "processing"]),
            "latency_us": st.none() | st.integers(0, 10**9),
            "cost_usd": st.integers(0, 64).map(lambda cents: cents / 64),
            "tool_name": NAMES, "server_label": NAMES, "key_id": TEXTS, "llm_request_id": TEXTS,
            "started_at_us": st.integers(START_US, START_US + 3000),
        }
    ),
    max_size=10,
)  # fmt: skip


def make_tool_calls(shapes: list[dict[str, Any]]) -> list[ToolCall]:
    """Make calls of records of their own; one that runs has no latency and no result."""
    calls = []
    for number, shape in enumerate(shapes, 1):
        is_running = shape["status"] == "processing"
        shape = shape | ({"latency_us": None} if is_running else {})
        result = None if is_running else b'{"content": []}'
        record_id = make_record(number).id
        calls.append(
            ToolCall(
                record_id=record_id, created_at_us=START_US, metadata=b"{}", result=result, **shape
            )
        )

    return calls


@settings(max_examples=20)
@given(
    shapes=TOOL_CALLS,
    sort=st.sampled_from(["timestamp", "latency", "cost"]),
    order=st.sampled_from(["asc", "desc"]),
    limit=st.integers(1, 4),
)
async def test_tool_calls_are_read_as_the_document_says(
    shapes: list[dict[str, Any]], sort: str, order: str, limit: int
) -> None:
    """MCP logs: pages part the whole list, in order; figures are sums of its rows; ids lead back;
    milliseconds.
    """
    calls = make_tool_calls(shapes)
    ended = [call for call in calls if call.status != "processing"]
    world = World(
        MemoryStorage(), running_tools=[call for call in calls if call.status == "processing"]
    )
    entries = [
        Entry(make_record(n), None, [c]) for n, c in enumerate(calls, 1) if c.status != "processing"
    ]
    await world.store(*entries)

    async with TestClient(TestServer(make_app(world.services()))) as client:
        path = f"/api/mcp-logs?sort_by={sort}&order={order}"
        whole = await ask(client, f"{path}&limit=1000")
        pages = [
            await ask(client, f"{path}&limit={limit}&offset={at}")
            for at in range(0, len(calls) + 1, limit)
        ]
        stats = await ask(client, "/api/mcp-logs/stats")
        values = await ask(client, "/api/mcp-logs/filterdata")
        for row in whole["logs"][:3]:
            assert await ask(client, f"/api/mcp-logs/{row['id']}") == row

    rows = whole["logs"]
    assert [row for page in pages for row in page["logs"]] == rows
    assert sorted(row["id"] for row in rows) == sorted(format_id(call.record_id) for call in calls)
    assert {page["pagination"]["total_count"] for page in (whole, *pages)} == {len(calls)}
    # Without a latency yet is less than any.
    shown = [(row[sort] is not None, row[sort]) for row in rows]
    assert shown == sorted(shown, reverse=order == "desc")
    successes = sum(call.status == "success" for call in ended)
    timed = [call.latency_us / 1000 for call in ended if call.latency_us is not None]
    assert stats == whole["stats"]
    assert stats["total_executions"] == len(calls)
    assert stats["success_rate"] == pytest.approx(100 * successes / len(ended) if ended else 0)
    assert stats["average_latency"] == pytest.approx(sum(timed) / len(timed) if timed else 0)
    assert stats["total_cost"] == pytest.approx(sum(call.cost_usd for call in ended))
    assert whole["has_logs"] == bool(calls)
    assert set(values["tool_names"]) == {call.tool_name for call in ended}
