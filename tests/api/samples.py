"""Records and payloads for the tests of the read plane."""

from typing import Any

import msgspec

from storage.record import Batch, Body, Entry, Payload, Record, ToolCall, level_of, new_id
from storage.tools import search_text

START_US = 1_718_201_234_000_000
"""2024-06-12T14:07:14Z."""

Item = Record | tuple[Record, Payload] | Entry


def make_record(number: int, **changes: object) -> Record:
    """Make an exchange that differs from others by its number; `changes` replaces fields."""
    status = changes.get("status", 200)
    assert status is None or isinstance(status, int)
    fields: dict[str, object] = {
        "seq": 0,
        "id": new_id((START_US + number) * 1000, 7, number),
        "instance": "side-1",
        "kind": "exchange",
        "started_at_us": START_US + number * 1000,
        "ended_at_us": START_US + number * 1000 + 102_000,
        "level": level_of(status, str(changes.get("outcome", "ok"))),
        "outcome": "ok",
        "status": status,
        "method": "GET",
        "scheme": "http",
        "host": "service.test",
        "path": f"/v1/users/{number}",
        "query": None,
        "http_version": "1.1",
        "duration_us": 102_000,
        "connect_us": None,
        "first_byte_us": 90_000,
        "upstream_us": 95_000,
        "upstream_sent_at_us": START_US + number * 1000 + 1000,
        "upstream_done_at_us": START_US + number * 1000 + 101_000,
        "request_bytes": 412,
        "response_bytes": 318,
        "request_complete": True,
        "client_ip": "203.0.113.42",
        "upstream": "127.0.0.1:3000",
        "route_id": "default",
        "service": "user-api",
        "container": "cnt_1",
        "project": "proj_a",
        "client": "acme",
        "user_id": None,
        "source": "backend",
        "stage": None,
        "trace_id": None,
        "span_id": None,
        "request_id": f"request-{number}",
        "user_agent": "curl/8",
        "error_type": None,
        "shed": "none",
    }
    return Record(**(fields | changes))  # type: ignore[arg-type]  # a test's own fields


def make_event(number: int, **changes: object) -> Record:
    """Make an event."""
    fields: dict[str, object] = {
        "kind": "event",
        "name": "gap",
        "data": b'{"count": 3}',
        "status": None,
        "method": None,
        "path": None,
    }
    return make_record(number, **(fields | changes))


def make_in_flight(number: int, **changes: object) -> Record:
    """Make an exchange that has not ended."""
    fields: dict[str, object] = {
        "status": None,
        "ended_at_us": 0,
        "duration_us": 0,
        "level": "info",
    }
    return make_record(number, **(fields | changes))


def make_body(content: bytes, **changes: object) -> Body:
    """Make a body that is kept whole."""
    fields: dict[str, object] = {
        "head": content,
        "tail": b"",
        "size": len(content),
        "truncated": False,
        "coding": None,
        "omitted": None,
    }
    return Body(**(fields | changes))  # type: ignore[arg-type]  # a test's own fields


def make_payload(request: Body | None = None, response: Body | None = None) -> Payload:
    """Make the payload of an exchange."""
    return Payload(
        request_head=(
            b"GET /v1/users HTTP/1.1\r\nHost: service.test\r\nCookie: [REDACTED]\r\nX-A: "
            b"1\r\nX-A: 2"
        ),
        response_head=b"HTTP/1.1 200 OK\r\nContent-Type: application/json",
        request_body=request,
        response_body=response,
    )


def make_batch(*items: Item) -> Batch:
    """Put records, with or without payloads, or whole entries into a batch."""
    entries = [
        item
        if isinstance(item, Entry)
        else Entry(*item)
        if isinstance(item, tuple)
        else Entry(item)
        for item in items
    ]
    return Batch(instance="side-1", entries=entries)


def make_tool_call(number: int, **changes: Any) -> ToolCall:
    """Make a call of the exchange of a number; `changes` replaces fields."""
    call = ToolCall(
        record_id=make_record(number).id,
        started_at_us=START_US,
        created_at_us=START_US + 123_000,
        tool_name="add",
        server_label="demo",
        status="success",
        latency_us=12_500,
        cost_usd=0.25,
        arguments=b'{"a": 1}',
        result=b'{"content": []}',
        metadata=b'{"method": "tools/call"}',
        project="proj_a",
    )
    call = msgspec.structs.replace(call, **changes)
    call.search = search_text(call.arguments, call.result)
    return call
