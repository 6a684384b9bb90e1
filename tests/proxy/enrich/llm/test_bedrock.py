"""Calls of Bedrock: documents, and binary events, whole and with a gap."""

import base64
import json
import zlib
from struct import pack
from typing import Any

import pytest

from proxy.enrich.llm.bedrock import model_of
from tests.proxy.enrich.calls import facts_of, record_of

KIND = "application/vnd.amazon.eventstream"
BODY = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
USAGE = {"inputTokens": 30, "outputTokens": 62, "totalTokens": 102, "cacheReadInputTokens": 10}
TOOL = {"toolUse": {"toolUseId": "t", "name": "weather", "input": {}}}
ANSWER: dict[str, Any] = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hello"}, TOOL]}}, "stopReason": "tool_use",
    "usage": USAGE, "metrics": {"latencyMs": 1},
}  # fmt: skip


def event(name: str, payload: object) -> bytes:
    """A message as the Amazon Event Stream Specification writes it."""
    headers = b"".join(
        pack(">B", len(key)) + key + b"\x07" + pack(">H", len(value)) + value
        for key, value in ((b":event-type", name.encode()), (b":content-type", b"application/json"))
    )
    raw = json.dumps(payload).encode()
    prelude = pack(">II", 16 + len(headers) + len(raw), len(headers))
    message = prelude + pack(">I", zlib.crc32(prelude)) + headers + raw
    return message + pack(">I", zlib.crc32(message))


STREAM = [
    event("messageStart", {"role": "assistant"}),
    event("contentBlockStart", {"start": {"toolUse": {"toolUseId": "t", "name": "weather"}}, "contentBlockIndex": 0}),
    *(event("contentBlockDelta", {"delta": {"text": f"word {n}"}, "contentBlockIndex": 0}) for n in range(300)),
    event("messageStop", {"stopReason": "tool_use"}),
    event("metadata", {"usage": USAGE, "metrics": {"latencyMs": 1}}),
]


def test_converse() -> None:
    """Model from the path, input with what a cache knew."""
    record = record_of("/model/us.anthropic.claude-x-v1%3A0/converse", BODY, ANSWER)
    assert facts_of(record)[:6] == ("bedrock", "us.anthropic.claude-x-v1:0", None, 40, 62, 10)
    assert record.stream is not None
    assert (record.stream.finish_reason, record.stream.tools, record.usage_state) == ("tool_use", ["weather"], "exact")
    assert model_of("/models/x") is None


@pytest.mark.parametrize("windows", [(1 << 20, 0), (3000, 1000)])
def test_converse_stream(windows: tuple[int, int]) -> None:
    """The last event has the counts, also behind a gap."""
    record = record_of("/model/m/converse-stream", BODY, b"".join(STREAM), content_type=KIND, windows=windows)
    assert (record.input_tokens, record.output_tokens, record.usage_state) == (40, 62, "exact")
    assert record.stream is not None
    assert (record.stream.end, record.stream.finish_reason) == ("complete", "tool_use")
    assert record.stream.tools == ["weather"]
    cut = record_of("/model/m/converse-stream", BODY, b"".join(STREAM)[:-40], content_type=KIND, windows=(1 << 20, 0))
    assert (cut.input_tokens, cut.usage_state) == (None, "absent")
    damaged = bytearray(b"".join(STREAM))
    damaged[len(STREAM[0]) + 3] ^= 255
    assert record_of("/model/m/converse-stream", BODY, bytes(damaged), content_type=KIND).input_tokens is None


def test_invoke_stream() -> None:
    """Each event holds one of the model's own API."""
    events = [
        {"type": "message_start", "message": {"model": "claude-x", "usage": {"input_tokens": 25, "output_tokens": 1}}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 15}},
        {"type": "message_stop"},
    ]
    chunks = [event("chunk", {"bytes": base64.b64encode(json.dumps(part).encode()).decode()}) for part in events]
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5, "messages": []}
    record = record_of("/model/m/invoke-with-response-stream", body, b"".join(chunks), content_type=KIND)
    assert facts_of(record)[:5] == ("bedrock", "m", "claude-x", 25, 15)
    used = {"input_tokens": 5, "output_tokens": 7}
    plain = {"type": "message", "model": "c", "stop_reason": "end_turn", "usage": used}
    record = record_of("/model/m/invoke", body, plain)
    assert (record.input_tokens, record.output_tokens, record.usage_state) == (5, 7, "exact")
