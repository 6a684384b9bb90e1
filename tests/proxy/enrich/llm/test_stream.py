"""Streams of the size of a coding agent's: whatever their size and coding, the figures are right or
null.
"""

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import brotli  # type: ignore[import-untyped]
import pytest

from storage.record import Outcome, Record
from storage.zstd import zstd
from tests.proxy.enrich.calls import (
    ANTHROPIC,
    CHAT,
    CHAT_USAGE,
    chunk,
    facts_of,
    named,
    record_of,
    sse,
)
from tests.support.cases import each_of

WINDOWS = (20_000, 4000)
SSE = "text/event-stream"
TOOLS = [
    {"type": "function", "name": f"tool{n}", "parameters": {"usage": {"input_tokens": 1}}}
    for n in range(16)
]
RESPONSES_USAGE = {
    "input_tokens": 3600, "output_tokens": 87, "input_tokens_details": {"cached_tokens": 30},
    "output_tokens_details": {"reasoning_tokens": 64},
}  # fmt: skip
ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress, "deflate": zlib.compress, "br": lambda text: bytes(brotli.compress(text, quality=4)),
    "zstd": zstd.compress,
}  # fmt: skip


def response(status: str, **more: Any) -> dict[str, Any]:
    """A response object in the order of
    https://platform.openai.com/docs/api-reference/responses/object.
    """
    return {
        "id": "resp_1", "object": "response", "status": status, "error": None, "incomplete_details": None,
        "instructions": 'be brief, "usage": {"input_tokens": 7}. ' * 350, "model": "gpt-5-codex", "output": [],
        "tools": TOOLS, "usage": None, "user": None,
    } | more  # fmt: skip


def responses_stream(deltas: int) -> bytes:
    """A stream of the responses API, its last event larger than the tail window."""
    return named(
        {"type": "response.created", "response": response("in_progress")},
        *(
            {"type": "response.output_text.delta", "delta": f"word{number} "}
            for number in range(deltas)
        ),
        {"type": "response.completed", "response": response("completed", usage=RESPONSES_USAGE)},
    )


@pytest.mark.parametrize("deltas", [0, 4500])
def test_the_last_event_is_larger_than_the_tail(deltas: int) -> None:
    """An echo in instructions and tools is no usage: that of the response is found by its depth."""
    body = {"model": "gpt-5-codex", "input": "x", "stream": True}
    record = record_of(
        "/v1/responses", body, responses_stream(deltas), content_type=SSE, windows=WINDOWS
    )
    assert facts_of(record) == ("openai", "gpt-5-codex", "gpt-5-codex", 3600, 87, 30, None, 64)
    assert record.usage_state == "exact"
    assert record.stream is not None
    assert (record.stream.end, record.stream.finished, record.stream.frames) == (
        "complete",
        True,
        None,
    )


def anthropic_stream(deltas: int) -> bytes:
    """A message stream as https://docs.anthropic.com/en/docs/build-with-claude/streaming shows it."""
    return named(
        {
            "type": "message_start",
            "message": {"model": "claude-x", "usage": {"input_tokens": 25, "output_tokens": 1}},
        },
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": f"word {number} of it"},
            }
            for number in range(deltas)
        ),
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 9123},
        },
        {"type": "message_stop"},
    )


@each_of("coding", ENCODERS)
def test_coded_streams_of_more_than_a_megabyte(coding: str) -> None:
    """Head and tail of the decoded text are kept, and so are the counts at its end."""
    answer = ENCODERS[coding](anthropic_stream(12_000))
    headers = f"Content-Encoding: {coding}\r\n"
    timeline = [(len(answer) // 2, 5000), (len(answer), 9000)]
    record = record_of(
        "/v1/messages", ANTHROPIC, answer, content_type=SSE, response_headers=headers, windows=(1 << 20, 1 << 18),
        timeline=timeline,
    )  # fmt: skip
    assert (record.input_tokens, record.output_tokens, record.usage_state) == (25, 9123, "exact")
    assert record.stream is not None
    assert (record.stream.first_content_us, record.stream.longest_gap_us, record.stream.end) == (
        5000,
        4000,
        "complete",
    )


def lost(record: Record) -> bool:
    """Whether a record has no count at all, and a usage state that explains it."""
    return (
        facts_of(record)[3:] == (None,) * 5
        and record.usage_state == "lost"
        and record.cost_usd is None
    )


def test_what_was_not_seen_is_no_figure() -> None:
    """A stream whose end was not captured, or could not be decoded, has no counts, not even its
    first ones.
    """
    answer = gzip.compress(anthropic_stream(12_000))
    headers = "Content-Encoding: gzip\r\n"
    asked: dict[str, Any] = {"content_type": SSE, "response_headers": headers}
    cut = record_of("/v1/messages", ANTHROPIC, answer, windows=(20_000, 4000), **asked)
    assert lost(cut)
    assert cut.stream is not None
    assert (cut.resolved_model, cut.stream.end, cut.stream.frames) == ("claude-x", None, None)
    unknown: dict[str, Any] = {
        "content_type": SSE,
        "response_headers": "Content-Encoding: lzma\r\n",
    }
    assert lost(record_of("/v1/messages", ANTHROPIC, answer, windows=(1 << 20, 0), **unknown))
    damaged = answer[:20_000] + bytes(500) + answer[20_500:]
    assert lost(record_of("/v1/messages", ANTHROPIC, damaged, windows=(1 << 20, 0), **asked))
    plain = record_of(
        "/v1/messages", ANTHROPIC, anthropic_stream(12_000), content_type=SSE, windows=(20_000, 0)
    )
    assert lost(plain)
    vectors = {"data": [{"embedding": [0.5] * 9000}], "model": "te-3"}
    asked_for = {"model": "te-3", "input": "x"}
    assert lost(record_of("/v1/embeddings", asked_for, vectors, windows=(1000, 0)))


def test_a_client_that_leaves_a_coded_stream_at_its_end() -> None:
    """The coding has no end, but all data that was sent can be decoded."""
    compressor = zlib.compressobj(wbits=31)
    answer = compressor.compress(anthropic_stream(3)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    record = record_of(
        "/v1/messages", ANTHROPIC, answer, content_type=SSE, response_headers=(
            "Content-Encoding: gzip\r\n"
        ),
        outcome=Outcome.CLIENT_CLOSED,
    )  # fmt: skip
    assert (record.output_tokens, record.usage_state, record.outcome) == (9123, "exact", "ok")


def test_a_message_cut_early_does_not_count_its_placeholder() -> None:
    """A message begins with `output_tokens: 1`, which counts nothing yet."""
    answer = anthropic_stream(3).partition(b"event: message_delta")[0]
    record = record_of(
        "/v1/messages", ANTHROPIC, answer, content_type=SSE, outcome=Outcome.CLIENT_CLOSED
    )
    assert (record.input_tokens, record.output_tokens, record.usage_state) == (25, None, "partial")
    assert record.stream is not None
    assert record.stream.end == "client_closed"
    record = record_of(
        "/v1/messages", ANTHROPIC, answer, content_type=SSE, outcome=Outcome.TRUNCATED
    )
    assert record.stream is not None
    assert (record.stream.end, record.outcome) == ("cut", "truncated")


def gemini_array(words: int) -> bytes:
    """A stream without `alt=sse`: one array, each element repeating the counts so far."""
    elements = [
        {
            "candidates": [{"content": {"parts": [{"text": "a"}, {"text": f"word {number}, {{"}]}}],
            "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": number},
            "modelVersion": "gemini-x",
        }
        for number in range(words)
    ]
    elements[-1]["candidates"][0]["finishReason"] = "STOP"  # type: ignore[index]
    return json.dumps(elements, indent=2).encode()


@pytest.mark.parametrize("windows", [(1 << 20, 0), (3000, 900), (3000, 400), (3000, 150)])
def test_arrays_and_lines_with_a_gap(windows: tuple[int, int]) -> None:
    """The last element has the counts, also where the tail begins in the middle of it."""
    path = "/v1beta/models/gemini-x:streamGenerateContent"
    body = {"contents": [{"parts": [{"text": "hi"}]}]}
    record = record_of(path, body, gemini_array(200), windows=windows)
    assert (record.input_tokens, record.output_tokens, record.usage_state) == (5, 199, "exact")
    record = record_of(
        path, body, gemini_array(200)[:-300], windows=windows, outcome=Outcome.CLIENT_CLOSED
    )
    assert record.usage_state == ("lost" if record.output_tokens is None else "partial")
    assert record.output_tokens in (198, 197, None)


@pytest.mark.parametrize("tail", [60, 120, 200, 400])
def test_every_place_where_a_tail_may_begin(tail: int) -> None:
    """A chat stream's last frames, cut anywhere, give the counts or none."""
    answer = sse(
        *[chunk("word " * 3)] * 60,
        chunk(None, "stop"),
        chunk(choices=[], usage=CHAT_USAGE),
        "[DONE]",
    )
    for size in range(tail, tail + 60):
        record = record_of(
            "/v1/chat/completions", CHAT, answer, content_type=SSE, windows=(2000, size)
        )
        assert (record.input_tokens, record.output_tokens) in ((19, 10), (None, None))
        assert record.usage_state == ("exact" if record.input_tokens else "lost"), size


def test_streams_that_are_sent_as_text() -> None:
    """Some servers send events as plain text or bytes."""
    for kind in ("text/plain", "application/octet-stream", ""):
        answer = sse(chunk("a"), chunk(None, "stop"), chunk(choices=[], usage=CHAT_USAGE), "[DONE]")
        record = record_of("/v1/chat/completions", CHAT, answer, content_type=kind)
        assert (record.input_tokens, record.usage_state) == (19, "exact")
        assert record.stream is not None
        assert record.stream.frames == 4
