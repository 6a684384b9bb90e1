"""One log, five readings: the documents' invariants over random records, and that the five agree with each other."""

from typing import Any

from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.app import make_app
from api.stream_limits import StreamLimits
from storage.memory import MemoryStorage
from storage.record import Record, format_id, format_request_id, parse_id
from tests.api.conftest import BEARER, Client, World
from tests.api.samples import make_batch, make_event, make_record

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


async def read(client: Client, path: str) -> dict[str, Any]:
    """Ask as the admin."""
    response = await client.get(path, headers=BEARER)
    assert response.status == 200, await response.text()
    answer: dict[str, Any] = await response.json()
    return answer


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(shapes=LOGS)
async def test_the_five_readings_agree(shapes: list[dict[str, Any] | None]) -> None:
    """Sums of statistics, ids and pairs, order, units: as the documents have them, and the same in each of them."""
    world = World(MemoryStorage(), limits=StreamLimits(0, 0))
    log = make_log(shapes)
    await world.storage.commit(make_batch(*log))
    async with TestClient(TestServer(make_app(world.services()))) as client:
        gateway = await read(client, "/v1/requests?limit=500")
        entries = await read(client, "/api/proxy-logs/_logs?limit=1000")
        stats = await read(client, "/api/proxy-logs/_logs/stats")
        calls = await read(client, "/api/request-logs?limit=200")
        requests = await read(client, "/api/clients/acme/proxies/default/requests") if any(shapes) else {"requests": []}
        tools = await read(client, "/api/mcp-logs")
    exchanges = [record for record in log if record.kind == "exchange"]
    check_gateway(gateway, exchanges)
    check_entries(entries, log)
    check_stats(stats, log)
    assert calls["total"] == len(calls["logs"]) == sum(record.keyed for record in exchanges)
    assert [row["latency_ms"] for row in calls["logs"]] == [r.duration_us // 1000 for r in exchanges[::-1] if r.keyed]
    check_requests(requests["requests"], exchanges)
    assert tools["logs"] == []
    assert not tools["has_logs"]
    assert set(tools["stats"].values()) == {0}


def check_gateway(answer: dict[str, Any], exchanges: list[Record]) -> None:
    """Seed 000: every exchange, newest first, unknown numbers null."""
    assert answer["total"] == len(exchanges)
    assert [row["id"] for row in answer["data"]] == [format_request_id(record.id) for record in exchanges[::-1]]
    for row, record in zip(answer["data"], exchanges[::-1], strict=True):
        assert parse_id(row["id"]) == record.id
        assert row["latency_ms"] == record.duration_us // 1000
        assert (row["input_tokens"], row["output_tokens"]) == (record.input_tokens, record.output_tokens)
        is_failure = (record.status or 0) >= 400 or record.error_type is not None or record.outcome != "ok"
        assert row["error"] is None or is_failure


def check_entries(answer: dict[str, Any], log: list[Record]) -> None:
    """Seed 001: ids rise and are pairs, both halves share everything but time and data."""
    entries = answer["entries"]
    assert answer["total"] == len(entries) == sum(2 if record.kind == "exchange" else 1 for record in log)
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
    """Seed 001: each dimension sums to the total, all four levels are there."""
    total = sum(2 if record.kind == "exchange" else 1 for record in log)
    assert stats["total"] == total
    assert list(stats["byLevel"]) == ["debug", "info", "warn", "error"]
    for name in ("byLevel", "byProject", "byContainer", "byService"):
        assert sum(stats[name].values()) == total


def check_requests(rows: list[dict[str, Any]], exchanges: list[Record]) -> None:
    """Seed 004: newest first by id, seconds that are the milliseconds, targets only where something was sent."""
    assert [row["sKey"] for row in rows] == [format_id(record.id) for record in exchanges[::-1]]
    for row, record in zip(rows, exchanges[::-1], strict=True):
        proxy = row["proxyData"]
        assert round(proxy["duration"] * 1000) == proxy["sentAt"] - proxy["receivedAt"]
        assert (row["targetData"] is None) == (record.upstream_sent_at_us is None)
        assert row["validationData"]["requestSent"] == (record.upstream_sent_at_us is not None)
        assert len(row["validationData"]) == 20
