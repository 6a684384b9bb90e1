"""What is read of calls whose text is not kept, counts and nothing of what was said; and how
sessions were closed.
"""

import msgspec
import pytest

from proxy.ring.exchange import FLAG_BODIES_OFF, FLAG_HEADS_OFF
from proxy.ring.inflight import BODY_BYTES, InflightExchange
from tests.proxy.enrich.calls import CHAT, CHAT_USAGE, chunk, sse
from tests.proxy.enrich.exchanges import Collector, entry_of, exchange
from tests.proxy.enrich.mcp.mcp_world import OLD, answer, ask
from tests.support.cases import each_of

SECRET = "the-very-words"


@pytest.mark.parametrize("flags", [FLAG_BODIES_OFF, FLAG_BODIES_OFF | FLAG_HEADS_OFF])
def test_counts_without_texts(flags: int) -> None:
    """Model, tokens, reason and tools are there, no word of the request or the response anywhere."""
    tool = {"index": 0, "id": "c", "function": {"name": "weather", "arguments": SECRET}}
    asked = CHAT | {"messages": [{"role": "user", "content": SECRET}]}
    stream = sse(
        chunk(SECRET), chunk(None, None, choices=[{"index": 0, "delta": {"tool_calls": [tool]}}]),
        chunk(None, "tool_calls"), chunk(choices=[], usage=CHAT_USAGE), "[DONE]",
    )  # fmt: skip
    entry = entry_of(
        "/v1/chat/completions", asked, stream, content_type="text/event-stream", flags=flags
    )
    record = entry.record
    assert (record.model, record.input_tokens, record.output_tokens, record.usage_state) == (
        "gpt-4o",
        19,
        10,
        "exact",
    )
    assert record.stream is not None
    assert (record.stream.finish_reason, record.stream.tools) == ("tool_calls", ["weather"])
    assert (entry.payload is None) == bool(flags & FLAG_HEADS_OFF)
    assert SECRET.encode() not in msgspec.json.encode(entry)


@pytest.mark.parametrize("flags", [FLAG_BODIES_OFF, FLAG_BODIES_OFF | FLAG_HEADS_OFF])
def test_tool_calls_without_texts(flags: int) -> None:
    """A tool call is a row without arguments, result and message."""
    for reply in (answer(text=SECRET), answer(text=SECRET, isError=True)):
        sent = ask(arguments={"a": SECRET})
        entry = entry_of("/mcp", sent, reply, request_headers=OLD, flags=flags)
        (call,) = entry.tool_calls
        assert (call.tool_name, call.arguments, call.result, call.search) == ("add", None, None, "")
        assert call.latency_us is not None
        assert SECRET.encode() not in msgspec.json.encode(entry)


def in_flight(line: bytes, body: bytes) -> InflightExchange:
    return InflightExchange(
        record_id=bytes(16), started_at_us=1, route=0, client_ip=b"1.2.3.4", head=line + b" HTTP/1.1\r\n\r\n",
        head_truncated=False, body=body[:BODY_BYTES],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}', "gpt-4o"),
        (b'{"messages": [{"role": "user", "content": "' + b"x" * BODY_BYTES, None),
        (
            b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "' + b"x" * BODY_BYTES,
            "gpt-4o",
        ),
    ],
    ids=["whole", "cut before", "cut behind"],
)
def test_a_call_in_flight_names_its_model(body: bytes, model: str | None) -> None:
    """Provider and model are those of the request, the upstream that of the route; tokens are lost
    with the worker.
    """
    collector = Collector(upstream="https://api.groq.com/openai")
    exchange = in_flight(b"POST /v1/chat/completions", body)
    record = collector.builder.running(exchange, collector.descriptor).record
    assert (record.provider, record.model, record.usage_state) == ("groq", model, None)
    (entry,) = collector.builder.lost([exchange], collector.descriptor)
    assert (entry.record.provider, entry.record.model, entry.record.usage_state) == (
        "groq",
        model,
        "lost",
    )


@pytest.mark.parametrize("line", [b"GET /v1/chat/completions", b"POST /api/chat", b"POST /items"])
def test_what_may_be_no_call_is_none_in_flight(line: bytes) -> None:
    """A path that other services have, too, is a call only when the response says so."""
    collector = Collector()
    exchange = in_flight(line, b'{"model": "m", "messages": []}')
    record = collector.builder.running(exchange, collector.descriptor).record
    assert (record.provider, record.model) == (None, None)


@each_of(
    ("code", "told"),
    [
        *((code, (None, "info")) for code in (0, 1000, 1001, 1005)),
        *(
            (code, (f"websocket_{code}", "warn"))
            for code in (1002, 1003, 1007, 1008, 1009, 1010, 3000, 4001, 4401, 4999)
        ),
        *(
            (code, (f"websocket_{code}", "error"))
            for code in (1006, 1011, 1012, 1013, 1014, 1015, 4500, 4503)
        ),
        *((code, ("websocket_invalid", "warn")) for code in (1, 999, 5000, 65535)),
    ],
)
def test_a_close_code_that_tells_of_a_failure(code: int, told: object) -> None:
    """Has a level and an error code, as a status of HTTP has; the service's own failures are
    errors.
    """
    session = exchange("/ws", method="GET", status=101)
    session.close_code = code
    record = Collector().read(session).record
    assert (record.error_type, record.level) == told
    assert record.outcome == "ok"
