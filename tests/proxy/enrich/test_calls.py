"""What is read of calls whose text is not kept: counts, and nothing of what was said."""

import json
from typing import Any

import msgspec
import pytest

from proxy.enrich.calls import CallReader
from proxy.enrich.records import RecordBuilder
from proxy.ring.exchange import FLAG_BODIES_OFF, FLAG_HEADS_OFF
from storage.record import Entry
from tests.proxy.enrich.calls import CHAT, CHAT_USAGE, chunk, sse
from tests.proxy.enrich.exchanges import descriptor_of, exchange, settings
from tests.proxy.enrich.mcp.mcp_world import OLD, answer, ask

SECRET = "the-very-words"


def entry_of(flags: int, path: str, body: object, reply: bytes, **more: Any) -> Entry:
    given = settings()
    captured = exchange(path, json.dumps(body).encode(), reply, **more)
    captured.flags |= flags
    return RecordBuilder("i", given).build(captured, descriptor_of(given))


@pytest.mark.parametrize("flags", [FLAG_BODIES_OFF, FLAG_BODIES_OFF | FLAG_HEADS_OFF])
def test_counts_without_texts(flags: int) -> None:
    """Model, tokens, reason and tools are there, no word of the request or the response anywhere."""
    assert CallReader is not None
    tool = {"index": 0, "id": "c", "function": {"name": "weather", "arguments": SECRET}}
    asked = CHAT | {"messages": [{"role": "user", "content": SECRET}]}
    stream = sse(
        chunk(SECRET), chunk(None, None, choices=[{"index": 0, "delta": {"tool_calls": [tool]}}]),
        chunk(None, "tool_calls"), chunk(choices=[], usage=CHAT_USAGE), "[DONE]",
    )  # fmt: skip
    entry = entry_of(flags, "/v1/chat/completions", asked, stream, content_type="text/event-stream")
    record = entry.record
    assert (record.model, record.input_tokens, record.output_tokens, record.usage_state) == ("gpt-4o", 19, 10, "exact")
    assert record.stream is not None
    assert (record.stream.finish_reason, record.stream.tools) == ("tool_calls", ["weather"])
    assert (entry.payload is None) == bool(flags & FLAG_HEADS_OFF)
    assert SECRET.encode() not in msgspec.json.encode(entry)


@pytest.mark.parametrize("flags", [FLAG_BODIES_OFF, FLAG_BODIES_OFF | FLAG_HEADS_OFF])
def test_tool_calls_without_texts(flags: int) -> None:
    """A tool call is a row without arguments, result and message."""
    for reply in (answer(text=SECRET), answer(text=SECRET, isError=True)):
        sent = ask(arguments={"a": SECRET})
        entry = entry_of(flags, "/mcp", sent, json.dumps(reply).encode(), request_headers=OLD)
        (call,) = entry.tool_calls
        assert (call.tool_name, call.arguments, call.result, call.search) == ("add", None, None, "")
        assert call.latency_us is not None
        assert SECRET.encode() not in msgspec.json.encode(entry)
