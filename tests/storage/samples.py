"""Records, payloads and positions for the tests of stores."""

from itertools import count
from typing import Any

import msgspec

from storage.grpc import Grpc
from storage.record import Batch, Body, Entry, Payload, Position, Record, Stream, new_id

SOURCE = bytes(range(16))
START_US = 1_790_000_000_000_000

_counter = count(1)
_NULLABLE = (
    "status", "method", "host", "path", "query", "http_version", "connect_us", "first_byte_us", "upstream_us",
    "upstream_sent_at_us", "upstream_done_at_us", "client_ip", "upstream", "route_id", "service", "container",
    "project", "client", "user_id", "stage", "trace_id", "span_id", "request_id", "user_agent", "error_type",
)  # fmt: skip
_FULL: dict[str, Any] = {
    "query": "a=1",
    "connect_us": 120,
    "user_id": "user-1",
    "stage": "production",
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
    "span_id": "b7ad6b7169203331",
    "error_type": "rate_limit",
    "shed": "tail",
    "name": "call",
    "data": b'{"count":3}',
    "key_id": "key-1",
    "key_name": "mobile",
    "key_last4": "a1b2",
    "auth_code": "KEY_EXPIRED",
    "provider": "openai",
    "model": "gpt",
    "resolved_model": "gpt-2",
    "input_tokens": 10,
    "output_tokens": 20,
    "cache_read_tokens": 3,
    "cache_write_tokens": 4,
    "reasoning_tokens": 5,
    "usage_state": "exact",
    "cost_usd": 0.0125,
    "price_source": "table",
    "direction": "out",
    "stream": Stream(first_content_us=10, frames=4, longest_gap_us=None, finished=True),
    "keyed": True,
    "endpoint": "/v1/chat/{id}",
    "conversation": bytes(range(16)),
    "marks": bytes(range(32)),
    "grpc": Grpc(14, "no one", 1, 0, 12, "gzip", 5_000_000, "unary", "reset", "CANCEL", False),
    "message": "no order … in …",
    "redactions": {"github-token": 2, "name:password": 1},
}


def skip_ids(number: int) -> None:
    """Make no id that another process made: it made so many."""
    for _ in range(number):
        next(_counter)


def make_record(**changes: Any) -> Record:
    """Make a record with an id of its own: a plain GET, unless changed."""
    number = next(_counter)
    record = Record(
        seq=0,
        id=new_id(START_US * 1000, number >> 20, number & 0xFFFFF),
        instance="sidecar-1",
        kind="exchange",
        started_at_us=START_US,
        ended_at_us=START_US + 900,
        level="info",
        outcome="ok",
        status=200,
        method="GET",
        scheme="http",
        host="api.example.com",
        path="/items",
        query=None,
        http_version="1.1",
        duration_us=900,
        connect_us=None,
        first_byte_us=700,
        upstream_us=800,
        upstream_sent_at_us=START_US + 50,
        upstream_done_at_us=START_US + 850,
        request_bytes=0,
        response_bytes=470,
        request_complete=True,
        client_ip="10.1.2.3",
        upstream="127.0.0.1:9000",
        route_id="items",
        service="catalogue",
        container="catalogue-1",
        project="shop",
        client="acme",
        user_id=None,
        source="backend",
        stage=None,
        trace_id=None,
        span_id=None,
        request_id="req-1",
        user_agent="curl/8",
        error_type=None,
        shed="none",
    )
    return msgspec.structs.replace(record, **changes)


def make_full_record(**changes: Any) -> Record:
    """Make a record in which nothing is null."""
    return make_record(**(_FULL | changes))


def make_empty_record(**changes: Any) -> Record:
    """Make a record in which everything that may be null is."""
    return make_record(**(dict.fromkeys(_NULLABLE) | changes))


def make_payload(number: int = 1) -> Payload:
    """Make heads and short bodies."""
    return Payload(
        b"POST /items/%d HTTP/1.1\r\nhost: api.example.com" % number,
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json",
        make_body(b'{"request": %d}' % number),
        make_body(b'{"response": %d}' % number),
        [(0, 10), (20, 35)],
    )


def make_body(content: bytes, tail: bytes = b"") -> Body:
    """Make a body that was kept whole, or, with a tail, cut."""
    return Body(content, tail, len(content) + 100 * bool(tail), bool(tail), None, None)


def make_batch(*records: Record, offset: int = 0) -> Batch:
    """Make a batch of rows without payloads; with an offset it moves the position of `SOURCE`
    there.
    """
    positions = {SOURCE: Position(offset=offset, taken=offset, stored=offset)} if offset else {}
    return Batch("sidecar-1", [Entry(record) for record in records], positions)
