"""Endpoints and other fields over HTTP: sums of each, compared with the period before."""

from typing import Any

import pytest

from storage.record import Entry, Stream
from tests.api.conftest import Client, World, ask
from tests.api.samples import START_US, make_body, make_payload, make_record, make_tool_call
from tests.support.cases import each_of

RANGE = "since=2024-06-12T14:00:00Z&until=2024-06-12T15:00:00Z"
HOUR_US = 3_600_000_000
BEFORE_US = 1_718_197_200_000_000
"""Where the hour before that range begins: 2024-06-12T13:00:00Z."""


async def fill(world: World) -> None:
    """Store six exchanges of two endpoints, one of the hour before, and an event where that hour
    begins.
    """
    records = [
        make_record(
            n, method="GET", endpoint="/a/{id}" if n < 4 else "/b", status=(200, 500, 404)[n % 3]
        )
        for n in range(7)
    ]
    records[6].started_at_us = START_US - HOUR_US
    records[6].endpoint = "/a/{id}"
    begin = make_record(7, kind="event", name="gap", started_at_us=BEFORE_US)
    await world.store(begin, *records)


async def test_endpoints_are_listed_with_what_came_of_them(client: Client, world: World) -> None:
    """Most requested first, with failures, latency and, where asked for, the period before."""
    await fill(world)
    found = await ask(client, f"/api/endpoints?{RANGE}&limit=1&before=true")
    assert found["complete"]
    assert (found["seen"], found["values"]) == (6, 2)
    [row] = found["rows"]
    assert (row["method"], row["value"], row["exchanges"]) == ("GET", "/a/{id}", 4)
    assert (row["client_errors"], row["server_errors"]) == (1, 1)
    assert row["duration_ms"]["p50"] > 0
    assert row["before"]["exchanges"] == 1
    assert (await ask(client, f"/api/endpoints?{RANGE}"))["rows"][0]["before"] is None
    everything = await ask(client, "/api/top")
    assert [(row["value"], row["exchanges"], row["before"]) for row in everything["rows"]] == [
        ("/a/{id}", 5, None),
        ("/b", 2, None),
    ]


@pytest.mark.parametrize(("begins_us", "is_compared"), [(0, True), (1, False), (HOUR_US, False)])
async def test_nothing_is_compared_with_what_the_log_does_not_reach_back_to(
    client: Client, world: World, begins_us: int, *, is_compared: bool
) -> None:
    """A period of which only the end was recorded would make everything look as if it had grown."""
    moments = (BEFORE_US + begins_us, BEFORE_US + HOUR_US - 1, START_US)
    records = [
        make_record(n, endpoint="/a", started_at_us=moment) for n, moment in enumerate(moments)
    ]
    await world.store(*records)
    [row] = (await ask(client, f"/api/endpoints?{RANGE}&before=true"))["rows"]
    assert (row["before"] is not None) == is_compared


async def test_other_fields_are_listed_too(client: Client, world: World) -> None:
    """By status, without a method; only what the filter leaves is there."""
    await fill(world)
    found = await ask(client, "/api/top?by=status&endpoint=/b")
    assert [(row["value"], row["method"], row["exchanges"]) for row in found["rows"]] == [
        ("404", None, 1),
        ("500", None, 1),
    ]


async def test_headers_and_places_in_bodies_are_listed(client: Client, world: World) -> None:
    """With their share; those without a value say why."""
    entries = [
        Entry(
            make_record(n, status=500), make_payload(make_body(b'{"user": {"id": %d}}' % (n // 3)))
        )
        for n in range(4)
    ]
    cut = make_body(b'{"user"', truncated=True, size=9000)
    await world.store(*entries, (make_record(5), make_payload(cut)))
    found = await ask(client, "/api/top?by=body.user.id")
    assert [
        (row["value"], row["state"], row["exchanges"], row["share"]) for row in found["rows"]
    ] == [
        ("0", "known", 3, 0.6),
        (None, "cut", 1, 0.2),
        ("1", "known", 1, 0.2),
    ]
    assert [row["server_errors"] for row in found["rows"]] == [3, 0, 1]
    assert (await ask(client, "/api/top?by=header.x-a"))["rows"][0]["value"] == "1, 2"


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("requests", "/many"), ("4xx", "/missing"), ("5xx", "/broken"), ("p50", "/slow"), ("p95", "/slow"),
        ("p99", "/slow"), ("bytes", "/large"), ("tokens", "/model"), ("cost", "/dear"),
    ],
)  # fmt: skip
async def test_rows_can_be_sorted_by_each_figure(
    client: Client, world: World, sort: str, first: str
) -> None:
    """The most first, before the limit; their counts over time stay with them."""
    ended: dict[str, Any] = {
        "/slow": {"duration_us": 9_000_000},
        "/large": {"response_bytes": 1 << 20},
    }
    ended |= {"/missing": {"status": 404}, "/broken": {"status": 503}}
    ended |= {
        "/model": {"input_tokens": 5, "output_tokens": 4},
        "/dear": {"cost_usd": 0.5, "output_tokens": 8},
    }
    records = [
        make_record(0, method="GET", endpoint="/many"),
        make_record(1, method="GET", endpoint="/many"),
    ]
    records += [
        make_record(n, method="GET", endpoint=name, **ended[name])
        for n, name in enumerate(ended, 2)
    ]
    await world.store(*records)
    found = await ask(client, f"/api/endpoints?{RANGE}&limit=1&buckets=1&sort={sort}")
    assert [row["value"] for row in found["rows"]] == [first]
    assert found["rows"][0]["series"] == [found["rows"][0]["exchanges"]]
    assert found["values"] == 7


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("slower", ["/slowed", "/same", "/broken", "/new"]),
        ("failing", ["/broken", "/new", "/same", "/slowed"]),
    ],
)
async def test_rows_can_be_sorted_by_what_moved_against_the_period_before(
    client: Client, world: World, sort: str, expected: list[str]
) -> None:
    """Without `before`, too; what is new has no latency to compare, and failed never before."""
    hours: list[list[tuple[str, int, int]]] = [
        [("/slowed", 100, 200), ("/same", 900, 200), ("/broken", 500, 200)],
        [("/same", 900, 200), ("/slowed", 400, 200), ("/broken", 300, 500), ("/new", 9000, 503)],
        [("/new", 9000, 200)],
    ]
    records = [
        make_record(
            10 * hour + n,
            method="GET",
            endpoint=endpoint,
            duration_us=1000 * duration_ms,
            status=status,
            started_at_us=START_US + (min(hour, 1) - 1) * HOUR_US,
        )
        for hour, calls in enumerate(hours)
        for n, (endpoint, duration_ms, status) in enumerate(calls)
    ]
    begin = make_record(90, kind="event", name="gap", started_at_us=BEFORE_US)
    await world.store(begin, *records)
    found = await ask(client, f"/api/top?{RANGE}&sort={sort}")
    assert [row["value"] for row in found["rows"]] == expected
    assert [row["before"]["exchanges"] for row in found["rows"]] == [
        int(name != "/new") for name in expected
    ]


async def test_without_a_period_before_rows_stay_in_the_order_of_requests(
    client: Client, world: World
) -> None:
    """The log does not reach back so far."""
    names = ("/a", "/b", "/b")
    records = [make_record(n, method="GET", endpoint=name) for n, name in enumerate(names)]
    await world.store(*records)
    found = await ask(client, f"/api/top?{RANGE}&sort=slower")
    assert [(row["value"], row["before"]) for row in found["rows"]] == [("/b", None), ("/a", None)]


async def test_failures_are_grouped_by_endpoint_reason_and_status(
    client: Client, world: World
) -> None:
    """All of the period, however many there are; what a row shows finds its requests."""
    failures: list[dict[str, Any]] = [{"endpoint": "/a", "status": 500}] * 3
    failures += [
        {"endpoint": "/b", "status": 500},
        {"endpoint": "/a", "status": 429, "error_type": "rate_limit"},
    ]
    failures += [
        {"endpoint": "/a", "status": 404, "level": "warn"},
        {"endpoint": "/a", "outcome": "client_closed"},
    ]
    records = [
        make_record(n, **{"method": "GET", "level": "error"} | ended)
        for n, ended in enumerate(failures)
    ]
    records.append(make_record(9, method="GET", endpoint="/a", level="info"))
    await world.store(*records)
    rows = (await ask(client, f"/api/top?by=failure&{RANGE}&buckets=1"))["rows"]
    shown = {
        (row["status"], row["error"], row["method"], row["value"]): row["exchanges"] for row in rows
    }
    assert shown == {
        (500, "http_500", "GET", "/a"): 3, (500, "http_500", "GET", "/b"): 1, (429, "rate_limit", "GET", "/a"): 1,
        (404, "http_404", "GET", "/a"): 1, (200, "client_closed", "GET", "/a"): 1,
    }  # fmt: skip

    for row in rows:
        search = (
            f"status:{row['status']} error:{row['error']} method:{row['method']} "
            f"endpoint:{row['value']}"
        )
        found = await ask(client, f"/api/records?query={search}")
        assert len(found["records"]) == row["exchanges"] == row["series"][0]

    by_error = (await ask(client, "/api/top?by=error"))["rows"]
    assert {row["value"]: row["exchanges"] for row in by_error} == {
        "http_500": 4, "rate_limit": 1, "http_404": 1, "client_closed": 1, None: 1,
    }  # fmt: skip


async def test_failures_of_one_status_are_told_apart_by_what_they_said(
    client: Client, world: World
) -> None:
    """A row has the message of its requests, a search with it finds them, and messages are a group
    of their own.
    """
    said = ["no such user …", "no such user …", "the store is away", None]
    records = [
        make_record(number, method="GET", endpoint="/a", status=500, level="error", message=message)
        for number, message in enumerate(said)
    ]
    await world.store(*records)
    rows = (await ask(client, f"/api/top?by=failure&{RANGE}&buckets=1"))["rows"]
    assert {row["message"]: (row["exchanges"], *row["series"]) for row in rows} == {
        "no such user …": (2, 2), "the store is away": (1, 1), None: (1, 1),
    }  # fmt: skip

    for search, count in (
        ('message:"no such user …"', 2),
        ("message:*store*", 1),
        ("-message:*", 1),
    ):
        assert len((await ask(client, f"/api/records?query={search}"))["records"]) == count

    by_message = (await ask(client, "/api/top?by=message&query=message:*"))["rows"]
    assert [(row["value"], row["exchanges"]) for row in by_message] == [
        ("no such user …", 2),
        ("the store is away", 1),
    ]


async def test_a_cost_that_is_not_known_is_none(client: Client, world: World) -> None:
    """A model without a price has not been free."""
    records = [
        make_record(1, model="priced", provider="x", cost_usd=0.5),
        make_record(2, model="new", provider="x"),
    ]
    await world.store(*records)
    found = await ask(client, "/api/top?by=model")
    assert {row["value"]: row["cost_usd"] for row in found["rows"]} == {"priced": 0.5, "new": None}
    usage = (await ask(client, "/api/summary?model=new"))["usage"]
    assert (usage["cost_usd"], usage["models"][0]["cost_usd"]) == (None, None)


async def test_it_is_said_where_tokens_were_not_reported(client: Client, world: World) -> None:
    """A model that says nothing of its use has not used nothing."""
    counts = {"input_tokens": 5, "output_tokens": 0}
    records = [
        make_record(1, model="counted", provider="x", **counts),
        make_record(2, model="mute", provider="x"),
    ]
    await world.store(*records)
    rows = (await ask(client, "/api/top?by=model"))["rows"]
    assert {row["value"]: (row["input_tokens"], row["output_tokens"], row["counted"]) for row in rows} == {
        "counted": (5, 0, True), "mute": (0, 0, False),
    }  # fmt: skip


async def test_tools_are_counted_by_what_calls_tell_of_them(client: Client, world: World) -> None:
    """What a model asked for, and what failed then; of whom MCP's own log tells, that counts."""
    call = {"provider": "anthropic", "model": "claude", "path": "/v1/messages"}
    asks = Stream(None, None, None, True, tools=["read_file", "search"])
    tells = Stream(None, None, None, True, failed_tools=["read_file"])
    records = [
        make_record(1, stream=asks, **call),
        make_record(
            2, stream=tells, error_type="tool_error", level="warn", conversation=b"c" * 16, **call
        ),
    ]
    entries = [Entry(record) for record in records]
    entries[0].tool_calls = [make_tool_call(1, tool_name="search", status="success")]
    await world.store(*entries)
    rows = (await ask(client, f"/api/top?by=tool&{RANGE}"))["rows"]
    assert {row["value"]: (row["exchanges"], row["server_errors"]) for row in rows} == {
        "read_file": (1, 1), "search": (1, 0),
    }  # fmt: skip
    [one] = (await ask(client, "/api/top?by=tool&query=tool:read_file"))["rows"]
    assert (one["value"], one["server_errors"]) == ("read_file", 1)
    [failing] = (await ask(client, f"/api/top?by=failure&{RANGE}"))["rows"]
    assert (failing["error"], failing["exchanges"]) == ("tool_error", 1)
    [found] = (await ask(client, "/api/conversations?min_failed=1"))["conversations"]
    assert (found["failed"], found["tools"], found["failed_tools"]) == (1, {}, {"read_file": 1})
    [told] = (await ask(client, "/api/records?query=tool_error:read_file"))["records"]
    assert told["failed_tools"] == ["read_file"]
    assert (await ask(client, "/api/records?tool_error=search"))["records"] == []


@pytest.mark.parametrize("scope", ["", f"&{RANGE}"])
async def test_calls_over_a_web_socket_are_added(client: Client, world: World, scope: str) -> None:
    """Tokens and cost of its events, beside the one request that the connection is; also while that
    runs.
    """
    call: dict[str, Any] = {
        "kind": "event",
        "level": "debug",
        "name": "websocket_message",
        "status": None,
        "provider": "openai",
    }
    call |= {
        "model": "gpt-5.1",
        "input_tokens": 10,
        "output_tokens": 2,
        "cost_usd": 0.25,
        "project": "p",
    }
    noise = {"kind": "event", "level": "debug", "name": "websocket_message", "project": "noise"}
    records = [make_record(1, **call), make_record(2, **call), make_record(3, **noise)]
    await world.store(*records)
    connection = make_record(4, status=101, model="gpt-5.1", project="p")

    for exchanges in (0, 1):
        if exchanges:
            await world.store(connection)
        for by, value in (("model", "gpt-5.1"), ("project", "p"), ("provider", "openai")):
            rows = (await ask(client, f"/api/top?by={by}{scope}"))["rows"]
            row = next(row for row in rows if row["value"] == value)
            seen = 0 if by == "provider" else exchanges
            assert (row["exchanges"], row["input_tokens"], row["output_tokens"]) == (seen, 20, 4)
            assert row["cost_usd"] == 0.5
            assert "noise" not in {row["value"] for row in rows}


async def test_rows_are_counted_over_time(client: Client, world: World) -> None:
    """In steps that cover the range, whose sum is the count of the row; an endpoint that others
    became part of, too.
    """
    await fill(world)
    found = await ask(client, f"/api/endpoints?{RANGE}&buckets=4")
    assert found["series"] == {
        "start": "2024-06-12T14:00:00.000Z",
        "step_s": 900.0,
        "complete": True,
    }
    assert [row["series"] for row in found["rows"]] == [[4, 0, 0, 0], [2, 0, 0, 0]]
    assert (await ask(client, f"/api/endpoints?{RANGE}"))["series"] is None


@each_of(
    ("path", "named"),
    [
        ("/api/top?by=moon", "by"),
        ("/api/top?by=header.", "by"),
        (f"/api/top?{RANGE}&buckets=121", "buckets"),
        (f"/api/top?{RANGE}&buckets=-1", "buckets"),
        ("/api/top?buckets=4", "buckets"),
        (f"/api/top?{RANGE}&before=maybe", "before"),
        ("/api/endpoints?by=path", "by"),
        ("/api/endpoints?limit=0", "limit"),
        ("/api/top?limit=1001", "limit"),
        ("/api/top?sort=moon", "sort"),
        ("/api/top?sort=slower", "since"),
        ("/api/top?x=1", "x"),
    ],
)
async def test_what_is_no_parameter_is_refused(client: Client, path: str, named: str) -> None:
    """Unknown fields, parameters and limits are errors of the caller, which name the parameter."""
    assert named in (await ask(client, path, 400))["detail"]
