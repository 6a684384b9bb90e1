"""A store with a bit of everything the UI shows, behind a real admin server: no traffic has to be
waited for.
"""

import json
import time
from typing import Any, Final

from storage.base import Storage
from storage.keys import ApiKey, secret_digest
from storage.record import Batch, Body, Entry, Payload, Record, Stream, ToolCall, level_of, new_id
from tests.api.samples import make_record

NOW_US = time.time_ns() // 1000
"""When the test began; set for each by `tests/ui/conftest.py`, for pages show a quarter of an hour.
"""
HEAD: Final = (
    b"POST /v1/messages HTTP/1.1\r\nHost: app.test\r\nx-api-key: [REDACTED]\r\nContent-Type: "
    b"application/json"
)
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream"


def record_of(number: int, **changes: Any) -> Record:
    """Make an exchange that started a minute and `number` × 100 ms before the test, unless
    `changes` says otherwise.
    """
    started_us = NOW_US - 60_000_000 - number * 100_000
    fields: dict[str, Any] = {
        "id": new_id(started_us * 1000, 7, number),
        "started_at_us": started_us,
        "ended_at_us": started_us + 40_000,
        "duration_us": 40_000,
        "upstream_sent_at_us": started_us + 300,
        "first_byte_us": 30_000,
        "route_id": "default",
        "path": f"/api/users/{number}",
        "error_type": None,
    }
    fields |= changes
    fields["level"] = changes.get(
        "level", level_of(fields.get("status", 200), fields.get("outcome", "ok"))
    )
    return make_record(number, **fields)


def body_of(content: bytes) -> Body:
    """Make a body that was kept whole."""
    return Body(
        head=content, tail=b"", size=len(content), truncated=False, coding=None, omitted=None
    )


def payload_of(
    request: bytes | None, response: bytes | None, timeline: list[tuple[int, int]] | None = None
) -> Payload:
    """Make a payload of two whole bodies."""
    return Payload(
        request_head=HEAD,
        response_head=ANSWER,
        request_body=None if request is None else body_of(request),
        response_body=None if response is None else body_of(response),
        timeline=timeline or [],
    )


def llm_call(number: int) -> Entry:
    """Make a streamed call with system, user and an answer in three pieces."""
    sent = {
        "model": "claude-x",
        "system": "Be kind",
        "messages": [{"role": "user", "content": "How are you"}],
        "stream": True,
    }
    pieces = [
        f'data: {{"type":"content_block_delta","index":0,"delta":{{"text":"{word}"}}}}\n\n'
        for word in ("I ", "am ", "fine")
    ]
    record = record_of(
        number,
        method="POST",
        path="/v1/messages",
        provider="anthropic",
        model="claude-x",
        input_tokens=12,
        output_tokens=3,
        cache_read_tokens=4,
        usage_state="exact",
        conversation=bytes([9]) * 16,
        cost_usd=0.014,
        duration_us=900_000,
        stream=Stream(
            first_content_us=30_500,
            frames=3,
            longest_gap_us=400_000,
            finished=True,
            finish_reason="end_turn",
        ),
    )
    ends = [sum(len(piece) for piece in pieces[: index + 1]) for index in range(3)]
    timeline = [(end, 30_500 + 400_000 * index) for index, end in enumerate(ends)]
    return Entry(record, payload_of(json.dumps(sent).encode(), "".join(pieces).encode(), timeline))


def socket_session(number: int) -> list[Entry]:
    """Make a WebSocket session: plain, compressed, cut, unreadable and binary messages, and how it
    was closed.
    """
    session = record_of(number, status=101, path="/ws", level="info")
    hidden = {"compressed": True, "inflated_size": None, "text": None, "omitted": "context"}
    inflated = {"compressed": True, "inflated_size": 900}
    said: list[dict[str, Any]] = [
        {"direction": "in", "opcode": "text", "size": 5, "text": "hello"},
        {"direction": "out", "opcode": "text", "size": 20, "text": "how " * 225} | inflated,
        {
            "direction": "in",
            "opcode": "text",
            "size": 9000,
            "text": "begin " * 682,
            "truncated": True,
            "kept": 4096,
        },
        {"direction": "in", "opcode": "text", "size": 31} | hidden,
        {"direction": "out", "opcode": "binary", "size": 6, "base64": "iVBORw0K"},
        {"direction": "in", "opcode": "ping", "size": 0, "text": "", "count": 4000},
        {"direction": "out", "opcode": "close", "size": 5, "code": 1000, "text": "bye"},
    ]
    events = [
        record_of(
            number - 1 - index,
            kind="event",
            name="websocket_message",
            status=None,
            method=None,
            path=None,
            level="debug",
            trace_id=session.id.hex(),
            data=json.dumps(data).encode(),
        )
        for index, data in enumerate(said)
    ]
    session.trace_id = None
    return [Entry(session, payload_of(None, None)), *map(Entry, events)]


def tool_call(number: int, status: str = "success") -> Entry:
    """Make an MCP call."""
    record = record_of(number, method="POST", path="/mcp")
    call = ToolCall(
        record_id=record.id,
        started_at_us=record.started_at_us,
        created_at_us=record.started_at_us,
        tool_name="search_tickets",
        server_label="tickets",
        status=status,  # type: ignore[arg-type]
        latency_us=212_000,
        arguments=b'{"order_id":5511}',
        result=b'{"content":[{"type":"text","text":"T-20391"}]}',
        metadata=b'{"method":"tools/call"}',
    )
    return Entry(record, payload_of(b"{}", b"{}"), [call])


KEY: Final = ApiKey(
    id="key-1",
    name="Production Key",
    last4="a1b2",
    secret_sha256=secret_digest(b"sk_x"),
    created_at_us=NOW_US,
)


async def fill(storage: Storage) -> dict[str, Record]:
    """Store the sample; returns the records that tests open, by what they are."""
    entries = [
        Entry(record_of(number), payload_of(None, b'{"id": 12345678901234567890}'))
        for number in range(400, 140, -1)
    ]
    stream = llm_call(130)
    broken = Entry(
        record_of(
            120,
            status=504,
            outcome="upstream_timeout",
            error_type="upstream_timeout",
            path="/slow",
            first_byte_us=None,
        ),
        payload_of(None, None),
    )
    binary = Entry(record_of(110, path="/image"), payload_of(None, bytes(range(256))))
    assert binary.payload is not None
    binary.payload.response_trailers = b"Digest: sha-256=x\r\nContent-Length: 256"
    binary.record.data = b'{"response_trailers_dropped": ["content-length"]}'
    socket = socket_session(100)
    cut = Entry(record_of(105, path="/long"), payload_of(None, b""))
    assert cut.payload is not None
    cut.payload.response_body = Body(
        head=b"the beginning",
        tail=b"the end",
        size=5_000_000,
        truncated=True,
        coding=None,
        omitted=None,
    )
    refused = Entry(
        record_of(
            90,
            status=401,
            path="/agent/run",
            keyed=True,
            key_id="key-1",
            key_name="Production Key",
            key_last4="a1b2",
            auth_code="disabled",
            error_type="disabled",
            outcome="rejected",
        )
    )
    await storage.create_key(KEY)
    tool = tool_call(80)
    batch = [*entries, stream, broken, binary, cut, *socket, tool, tool_call(70, "error"), refused]
    await storage.commit(Batch(instance="side-1", entries=batch))
    return {
        "stream": stream.record,
        "broken": broken.record,
        "binary": binary.record,
        "cut": cut.record,
        "socket": socket[0].record,
        "refused": refused.record,
        "tool": tool.record,
    }
