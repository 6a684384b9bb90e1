"""MCP logs over a real socket and each store that keeps tool calls."""

from itertools import count
from typing import Any

import pytest

from api.dialects.gateway import format_request_id
from storage.query import Scope
from storage.record import Entry, ToolCall, format_id
from tests.api.conftest import BEARER, Client, World, ask
from tests.api.samples import START_US, make_record, make_tool_call
from tests.support.cases import each_of

PATH = "/api/mcp-logs"
_numbers = count(1)


def make_call(**changes: Any) -> ToolCall:
    """Make a call of a record that is not stored yet."""
    return make_tool_call(next(_numbers), **changes)


async def keep(world: World, *calls: ToolCall) -> None:
    """Store calls, each with its record."""
    entries = []
    for call in calls:
        record = make_record(next(_numbers), project=call.project)
        record.id = call.record_id
        entries.append(Entry(record, None, [call]))
    await world.store(*entries)


async def test_a_log_has_the_fields_of_the_document(world: World, client: Client) -> None:
    """Required fields always, optional ones when there is something to say."""
    full = make_call(
        key_id="k1", key_name="mobile", key_last4="a1b2", llm_request_id="r-1", status="error",
        error_details=b'{"is_bifrost_error": false, "error": {"type": "tool_error"}}',
    )  # fmt: skip
    await keep(world, make_call(started_at_us=START_US - 1000), full)
    answer = await ask(client, PATH)
    assert set(answer) == {"logs", "pagination", "stats", "has_logs"}
    assert answer["logs"][0] == {
        "id": format_id(full.record_id),
        "llm_request_id": "r-1",
        "timestamp": "2024-06-12T14:07:14.000Z",
        "tool_name": "add",
        "server_label": "demo",
        "virtual_key_id": "k1",
        "virtual_key_name": "mobile",
        "arguments": {"a": 1},
        "result": {"content": []},
        "error_details": {"is_bifrost_error": False, "error": {"type": "tool_error"}},
        "latency": 12.5,
        "cost": 0.25,
        "status": "error",
        "metadata": {"method": "tools/call", "record_id": format_id(full.record_id)},
        "created_at": "2024-06-12T14:07:14.123Z",
        "virtual_key": {"id": "k1", "name": "mobile", "last4": "a1b2"},
    }
    assert set(answer["logs"][1]) == set(answer["logs"][0]) - {
        "llm_request_id",
        "error_details",
        "virtual_key",
    }
    assert answer["logs"][1]["virtual_key_id"] is None
    assert answer["pagination"] == {
        "total_count": 2,
        "limit": 50,
        "offset": 0,
        "sort_by": "timestamp",
        "order": "desc",
    }
    assert answer["stats"] == {
        "total_executions": 2,
        "success_rate": 50.0,
        "average_latency": 12.5,
        "total_cost": 0.5,
    }
    assert await ask(client, f"{PATH}/{format_id(full.record_id)}") == answer["logs"][0]
    assert await ask(client, f"{PATH}/{format_request_id(full.record_id)}") == answer["logs"][0]


async def test_nothing_yet(client: Client) -> None:
    """An empty list, zeros, and no logs at all."""
    answer = await ask(client, PATH)
    assert (answer["logs"], answer["has_logs"]) == ([], False)
    zeros = {"total_executions": 0, "success_rate": 0, "average_latency": 0, "total_cost": 0}
    assert answer["stats"] == zeros
    assert await ask(client, f"{PATH}/stats") == zeros
    assert await ask(client, f"{PATH}/filterdata") == {
        "tool_names": [],
        "server_labels": [],
        "virtual_keys": [],
    }


@pytest.fixture
async def calls(world: World) -> dict[str, ToolCall]:
    """Some that are stored, by a letter."""
    calls = {
        "a": make_call(key_id="k1"),
        "b": make_call(
            tool_name="sub", status="error", latency_us=1000, started_at_us=START_US + 1_000_000
        ),
        "c": make_call(llm_request_id="r-2"),
        "d": make_call(server_label="other", result=b'{"text": "a needle"}'),
    }
    await keep(world, *calls.values())
    return calls


@each_of(
    ("query", "expected"),
    [
        ({"tool_names": " add ,,none"}, "acd"),
        ({"server_labels": "other"}, "d"),
        ({"status": "error"}, "b"),
        ({"status": "success,processing"}, "acd"),
        ({"virtual_key_ids": "k1"}, "a"),
        ({"llm_request_ids": "r-1,r-2"}, "c"),
        ({"start_time": "2024-06-12T14:07:15Z"}, "b"),
        ({"end_time": "2024-06-12T14:07:14.000Z"}, "acd"),
        ({"start_time": "2024-06-12 16:07:14+02:00"}, "abcd"),
        ({"min_latency": "12.5"}, "acd"),
        ({"min_latency": "125e-1"}, "acd"),
        ({"min_latency": "1e308"}, ""),
        ({"max_latency": "12"}, "b"),
        ({"content_search": "NEEDLE"}, "d"),
        ({"content_search": "%"}, ""),
        ({"tool_names": ""}, "abcd"),
        ({"whatever": "x"}, "abcd"),
    ],
)
async def test_filters(
    client: Client, calls: dict[str, ToolCall], query: dict[str, Any], expected: str
) -> None:
    """Each filter, over list and figures; `has_logs` ignores them."""
    answer = await ask(client, PATH, **query)
    names = {format_id(call.record_id): name for name, call in calls.items()}
    assert "".join(sorted(names[log["id"]] for log in answer["logs"])) == expected
    assert (
        answer["pagination"]["total_count"] == answer["stats"]["total_executions"] == len(expected)
    )
    assert answer["has_logs"]
    assert await ask(client, f"{PATH}/stats", **query) == answer["stats"]


async def test_an_unknown_status_is_refused_with_the_known_ones(client: Client) -> None:
    """Among known ones too; a limit is told with both its bounds."""
    for query, allowed in (
        ("status=success,unknown", "processing, success, error"),
        ("limit=0", "from 1 to 1000"),
    ):
        assert allowed in (await ask(client, f"{PATH}?{query}", 400))["error"]["message"]


@each_of(
    "query",
    [
        "limit=0", "limit=1001", "limit=-1", "limit=%2B5", "limit=", "offset=x", "offset=9223372036854775808",
        "sort_by=name", "order=up", "start_time=yesterday", "end_time=2024-13-01", "min_latency=fast", "max_latency=-1",
        "min_latency=1_5", "min_latency=+1", "min_latency=.5", "min_latency=inf", "min_latency=nan",
    ],
)  # fmt: skip
async def test_strict_parameters(client: Client, query: str) -> None:
    """What cannot be read is refused in the document's shape."""
    answer = await ask(client, f"{PATH}?{query}", 400)
    assert (answer["is_bifrost_error"], answer["status_code"]) == (False, 400)
    assert query.split("=")[0] in answer["error"]["message"]


async def test_errors_have_the_shape(client: Client) -> None:
    """No token, no such call, another method."""
    for method, path, headers, status in (
        ("GET", PATH, {}, 401),
        ("GET", f"{PATH}/nothing", BEARER, 404),
        ("GET", f"{PATH}/{format_id(bytes(16))}.x", BEARER, 404),
        ("POST", PATH, BEARER, 405),
    ):
        async with client.request(method, path, headers=headers) as response:
            assert response.status == status
            assert (await response.json())["status_code"] == status


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_running_calls_are_merged_and_counted(
    world: World, client: Client, order: str
) -> None:
    """Pages of any size and offset show stored and running calls in one order, each once."""
    stored = [
        make_call(started_at_us=START_US + 10_000 * number, tool_name=f"s{number}")
        for number in range(6)
    ]
    await keep(world, *stored)
    world.running_tools = [
        make_call(
            started_at_us=START_US + 10_000 * number + 5000,
            status="processing",
            latency_us=None,
            cost_usd=0.0,
            tool_name=f"r{number}",
            result=None,
            position=number,
        )
        for number in (0, 3, 9)
    ]
    everything = ["s0", "r0", "s1", "s2", "s3", "r3", "s4", "s5", "r9"]
    if order == "desc":
        everything.reverse()
    for limit in (1, 2, 4, 50):
        found: list[str] = []
        for offset in range(0, len(everything) + limit, limit):
            answer = await ask(client, PATH, limit=str(limit), offset=str(offset), order=order)
            found += [log["tool_name"] for log in answer["logs"]]
            assert answer["pagination"]["total_count"] == 9
        assert found == everything

    assert (await ask(client, PATH))["stats"]["success_rate"] == 100
    answer = await ask(client, PATH, status="processing")
    assert [log["latency"] for log in answer["logs"]] == [None] * 3
    call = world.running_tools[1]
    shown = await ask(client, f"{PATH}/{format_id(call.record_id)}.3")
    assert (shown["status"], shown["result"], shown["id"]) == (
        "processing",
        None,
        f"{format_id(call.record_id)}.3",
    )
    assert (await ask(client, PATH, min_latency="0"))["pagination"]["total_count"] == 6


async def test_a_reader_sees_its_own_calls(world: World, client: Client) -> None:
    """Lists, figures, values, single calls and running ones are those of the token's projects."""
    reader = world.admit("reader", Scope(projects=("proj_a",)))
    mine = make_call()
    other = make_call(project="proj_b", tool_name="secret", server_label="hidden", key_id="k9")
    await keep(world, mine, other)
    world.running_tools = [make_call(project="proj_b", status="processing")]
    answer = await ask(client, PATH, 200, reader)
    assert [log["id"] for log in answer["logs"]] == [format_id(mine.record_id)]
    assert answer["stats"]["total_executions"] == 1
    values = await ask(client, f"{PATH}/filterdata", 200, reader)
    assert values == {"tool_names": ["add"], "server_labels": ["demo"], "virtual_keys": []}
    await ask(client, f"{PATH}/{format_id(other.record_id)}", 404, reader)
    assert (await ask(client, PATH))["pagination"]["total_count"] == 3


async def test_an_end_of_the_log_freezes_pages_and_totals(world: World, client: Client) -> None:
    """`X-Max-Seq` of the first page, given back as `max_seq`."""
    await keep(world, *(make_call(started_at_us=START_US + number) for number in range(4)))
    async with client.get(PATH, params={"limit": "3"}, headers=BEARER) as response:
        first = await response.json()
        end = response.headers["X-Max-Seq"]
    assert end == "4"
    await keep(world, *(make_call(started_at_us=START_US + 9) for _ in range(3)))
    second = await ask(client, PATH, limit="3", offset="3", max_seq=end)
    assert second["pagination"]["total_count"] == second["stats"]["total_executions"] == 4
    assert len({log["id"] for log in (*first["logs"], *second["logs"])}) == 4
    assert (await ask(client, PATH))["pagination"]["total_count"] == 7
    assert (await ask(client, PATH, max_seq="0"))["logs"] == []
