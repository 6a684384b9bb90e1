"""Calls of Bedrock: documents, and binary events, whole and with a gap."""

import base64
import json
import zlib
from struct import pack
from typing import Any

import pytest

from proxy.enrich.facts import CallUsage
from proxy.enrich.llm.bedrock import PROVIDER
from storage.record import Outcome, Record
from tests.proxy.enrich.calls import facts_of, record_of

KIND = "application/vnd.amazon.eventstream"
BODY = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
USAGE = {"inputTokens": 30, "outputTokens": 62, "totalTokens": 102, "cacheReadInputTokens": 10}


def event(name: str, payload: object, kind: bytes = b":event-type") -> bytes:
    """An event, or an exception, as AWS sends it."""
    return message(
        [(kind, name.encode()), (b":content-type", b"application/json")],
        json.dumps(payload).encode(),
    )


def message(texts: list[tuple[bytes, bytes]], payload: bytes) -> bytes:
    """A message as the Amazon Event Stream Specification writes it."""
    headers = b"".join(
        pack(">B", len(key)) + key + b"\x07" + pack(">H", len(value)) + value
        for key, value in texts
    )
    prelude = pack(">II", 16 + len(headers) + len(payload), len(headers))
    whole = prelude + pack(">I", zlib.crc32(prelude)) + headers + payload
    return whole + pack(">I", zlib.crc32(whole))


STREAM = [
    event("messageStart", {"role": "assistant"}),
    event(
        "contentBlockStart",
        {"start": {"toolUse": {"toolUseId": "t", "name": "weather"}}, "contentBlockIndex": 0},
    ),
    *(
        event("contentBlockDelta", {"delta": {"text": f"word {n}"}, "contentBlockIndex": 0})
        for n in range(300)
    ),
    event("messageStop", {"stopReason": "tool_use"}),
    event("metadata", {"usage": USAGE, "metrics": {"latencyMs": 1}}),
]


def stream_of(raw: bytes, **more: Any) -> Record:
    return record_of("/model/m/converse-stream", BODY, raw, content_type=KIND, **more)


def test_a_stream_that_is_cut_within_its_last_event() -> None:
    """Its counts are lost, unless it is known to have been broken off."""
    cut = b"".join(STREAM)[:-40]
    record = stream_of(cut, windows=(1 << 20, 0))
    assert (record.input_tokens, record.usage_state) == (None, "lost")
    assert stream_of(cut, outcome=Outcome.TRUNCATED).usage_state == "absent"


@pytest.mark.parametrize("place", [0, 1, 5, len(STREAM) - 1])
def test_a_damaged_stream_is_not_believed(place: int) -> None:
    """Behind damage the next message is found; what the damaged one may have counted is lost, not
    absent.
    """
    damaged = bytearray(b"".join(STREAM))
    damaged[sum(map(len, STREAM[:place])) + 3] ^= 255
    record = stream_of(bytes(damaged))
    assert record.stream is not None
    has_counts = place < len(STREAM) - 1
    assert (record.input_tokens, record.usage_state) == (
        (40, "exact") if has_counts else (None, "lost")
    )
    assert record.stream.frames is None


def test_errors_that_no_document_says() -> None:
    """Of a stream in the headers of a message, of a refusal in the head of the response."""
    record = stream_of(b"".join(STREAM[:4]) + message([(b":error-code", b"InternalError")], b""))
    assert (record.error_type, record.level, record.stream and record.stream.end) == (
        "InternalError",
        "error",
        "error",
    )
    path = "/model/a.b/converse"
    fields = "x-amzn-ErrorType: ValidationException:http://internal\r\n"
    record = record_of(path, BODY, {"message": "no"}, status=400, response_headers=fields)
    assert (record.error_type, record.level) == ("ValidationException", "warn")


def invoked(*documents: dict[str, Any]) -> list[bytes]:
    """Events of an invoke stream as Claude's are written there."""
    texts = (json.dumps(part, separators=(",", ":")).encode() for part in documents)
    return [event("chunk", {"bytes": base64.b64encode(text).decode()}) for text in texts]


CLAUDE: dict[str, Any] = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 5,
    "messages": [],
}


def test_a_tool_after_much_text_of_an_invoke_stream() -> None:
    """Claude's words come in many events, each in base64; the one that names a tool is read however
    many they are.
    """
    said = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "word"},
    }
    written = {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "input_json_delta", "partial_json": "{"},
    }
    used = {"type": "tool_use", "id": "t", "name": "weather", "input": {}}
    events = invoked(
        {
            "type": "message_start",
            "message": {"model": "claude-x", "usage": {"input_tokens": 25, "output_tokens": 1}},
        },
        *[said] * 600,
        {"type": "content_block_start", "index": 1, "content_block": used},
        *[written] * 600,
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use"},
            "usage": {"output_tokens": 15},
        },
        {"type": "message_stop"},
    )
    path = "/model/m/invoke-with-response-stream"
    raw = b"".join(events)
    record = record_of(path, CLAUDE, raw, content_type=KIND, windows=(1 << 20, 0))
    assert facts_of(record)[:5] == ("bedrock", "m", "claude-x", 25, 15)
    assert record.stream is not None
    assert (record.stream.tools, record.stream.frames) == (["weather"], 1204)


def test_a_tool_after_much_input_of_another() -> None:
    """Input comes in parts under the same member as the name of its tool."""
    written = event(
        "contentBlockDelta", {"delta": {"toolUse": {"input": "{"}}, "contentBlockIndex": 0}
    )
    second = {"start": {"toolUse": {"toolUseId": "u", "name": "clock"}}, "contentBlockIndex": 1}
    begun = STREAM[:2]
    end = STREAM[-2:]
    raw = b"".join(
        (*begun, *[written] * 600, event("contentBlockStart", second), *[written] * 600, *end)
    )
    record = stream_of(raw, windows=(1 << 20, 0))
    assert record.stream is not None
    assert record.stream.tools == ["weather", "clock"]


def test_the_first_content_of_an_invoke_stream() -> None:
    """It is in a delta, not in the event that only begins the message."""
    events = invoked(
        {"type": "message_start", "message": {"model": "claude-x"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": "word"},
        },
    )
    first = PROVIDER.content.search(b"".join(events))
    assert first is not None
    assert sum(map(len, events[:3])) < first.start()
    others = event("chunk", {"bytes": base64.b64encode(b'{"generation":"word"}').decode()})
    assert PROVIDER.content.search(others) is not None


def test_parts_within_parts() -> None:
    """They are of no response; the deepest that can be decoded at all cost nothing."""
    for depth in range(800, 1000):
        usage = CallUsage()
        PROVIDER.read(
            usage, b'{"metadata":' * depth + b'{"usage":{"inputTokens":1}}' + b"}" * depth
        )
        assert usage.input_tokens is None
