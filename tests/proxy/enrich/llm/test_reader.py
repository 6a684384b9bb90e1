"""What holds for calls of every provider: cut and hostile streams, strange numbers, what is no
call.
"""

import gzip
import json

import pytest

from storage.record import Outcome
from tests.proxy.enrich.calls import (
    CHAT,
    CHAT_ANSWER,
    CHAT_USAGE,
    chat_of,
    chunk,
    record_of,
    sse,
    streamed,
)
from tests.support.cases import each_of


def test_leaving_at_the_terminator_is_no_interruption() -> None:
    """A client that closes at `[DONE]` has received everything."""
    answer = sse(chunk("a"), chunk(None, "stop"), "[DONE]")
    record = streamed(
        answer,
        outcome=Outcome.CLIENT_CLOSED,
    )
    assert (record.outcome, record.level) == ("ok", "info")


@pytest.mark.parametrize(
    ("status", "outcome"), [(499, Outcome.CLIENT_CLOSED), (503, Outcome.SHUTDOWN)]
)
def test_a_status_that_no_provider_gave_is_no_error_of_its(status: int, outcome: Outcome) -> None:
    """The outcome gives the reason of a missing response, as for every other exchange."""
    path = "/v1/chat/completions"
    left = record_of(path, CHAT, b"", status=status, outcome=outcome, has_response=False)
    assert (left.error_type, left.outcome, left.model, left.usage_state) == (
        None,
        outcome,
        "gpt-4o",
        "absent",
    )
    assert record_of(path, CHAT, {}, status=status, outcome=outcome).error_type == f"http_{status}"


def test_counts_of_a_cached_prompt() -> None:
    """Ollama has none of it; of the answer they stand behind what was not kept."""
    answer = {
        "model": "llama3.2",
        "response": "x",
        "done": True,
        "context": [1] * 3000,
        "eval_count": 7,
    }
    asked = {"model": "llama3.2", "prompt": "a"}
    record = record_of("/api/generate", asked, answer, windows=(500, 200))
    assert (record.input_tokens, record.output_tokens) == (None, 7)


def test_usage_at_the_end_of_a_coded_stream() -> None:
    """A compressed answer is read as far as it was captured."""
    answer = gzip.compress(
        sse(chunk("a"), chunk(None, "stop"), chunk(choices=[], usage=CHAT_USAGE), "[DONE]")
    )
    record = record_of(
        "/v1/chat/completions", gzip.compress(json.dumps(CHAT).encode()), answer, content_type="text/event-stream",
        request_headers="Content-Encoding: gzip\r\n", response_headers="Content-Encoding: gzip\r\n",
    )  # fmt: skip
    assert (record.model, record.input_tokens, record.output_tokens) == ("gpt-4o", 19, 10)


def test_times_of_a_stream_come_from_the_timeline() -> None:
    """First content is when the chunk with its last byte came; the longest silence is between two
    chunks.
    """
    frames = [sse(chunk("", None)), sse(chunk("a")), sse(chunk("b")), sse("[DONE]")]
    ends = [sum(map(len, frames[: place + 1])) for place in range(4)]
    timeline = list(zip(ends, (1000, 5000, 90_000, 91_000), strict=True))
    record = streamed(
        b"".join(frames),
        timeline=timeline,
    )
    assert record.stream is not None
    assert (record.stream.first_content_us, record.stream.longest_gap_us, record.stream.frames) == (
        5000,
        85_000,
        4,
    )


@pytest.mark.parametrize(("before", "is_known"), [(1, True), (120, True), (200, False)])
def test_first_content_of_a_long_stream(before: int, is_known: bool) -> None:
    """A timeline that was thinned knows the time of each of its first chunks, and none where it
    cannot tell.
    """
    frames = [sse(chunk("", None))] * before + [sse(chunk("a"))] * 5000 + [sse("[DONE]")]
    size = 0
    timeline = []
    for number, frame in enumerate(frames, 1):
        size += len(frame)
        timeline.append((size, number * 1000))
    record = streamed(b"".join(frames), timeline=timeline, windows=(1 << 20, 1 << 18))
    assert record.stream is not None
    assert record.stream.first_content_us == ((before + 1) * 1000 if is_known else None)
    assert record.stream.longest_gap_us == 1000


def test_content_that_begins_where_nothing_was_kept_has_no_time() -> None:
    """Output that first shows behind the head window may have begun in the gap."""
    frames = [sse(chunk("", None))] * 30 + [sse(chunk("a"))] * 30 + [sse("[DONE]")]
    timeline = [
        (sum(map(len, frames[:number])), number * 1000) for number in range(1, len(frames) + 1)
    ]
    record = streamed(b"".join(frames), timeline=timeline, windows=(1000, 1000))
    assert record.stream is not None
    assert (record.stream.first_content_us, record.stream.longest_gap_us) == (None, 1000)


@each_of("number", [-1, 1 << 70, 10**400, 1.5, "12", True, None, [], {}])
def test_strange_numbers_are_null(number: object) -> None:
    """An invalid count is unknown; the others are kept."""
    usage = {"prompt_tokens": number, "completion_tokens": 5, "cost": -1}
    record = chat_of(CHAT_ANSWER | {"usage": usage})
    assert (record.input_tokens, record.output_tokens, record.cost_usd) == (None, 5, None)


@each_of(
    "answer",
    [
        b'{"usage": ' + b"[" * 100_000,
        b'{"a":' * 50_000 + b"1",
        b'{"model": "\xff\xfe\x00", "usage": {"prompt_tokens": 5}}',
        b'{"model": {"x": 1}, "choices": 5, "usage": [1], "error": 7}',
        b"data: " * 20_000,
        b'"' * 60_000,
        b'{"usage": "' + b"\\" * 60_000,
        b"",
    ],
)
@each_of("windows", [(65536, 16384), (4000, 1000)])
@each_of("kind", ["application/json", "text/event-stream", "application/x-ndjson"])
def test_hostile_answers_make_a_record(answer: bytes, windows: tuple[int, int], kind: str) -> None:
    """Any response leaves a record with the model of the request."""
    for path in (
        "/v1/chat/completions",
        "/v1/messages",
        "/v1beta/models/gpt-4o:streamGenerateContent",
        "/api/chat",
    ):
        # That path alone says nothing.
        route = {"provider": "ollama" if path == "/api/chat" else "auto"}
        record = record_of(path, CHAT, answer, content_type=kind, windows=windows, route=route)
        assert record.model == "gpt-4o"


def test_the_end_of_a_very_long_stream_counts() -> None:
    """Of thousands of frames the last ones are read, whatever the others hold."""
    running = [chunk("a", usage={"prompt_tokens": 19, "completion_tokens": n}) for n in range(5000)]
    answer = sse(*running, chunk(None, "stop", usage=CHAT_USAGE), "[DONE]")
    record = streamed(answer, windows=(4 << 20, 0))
    assert (record.output_tokens, record.usage_state) == (10, "exact")
    assert record.stream is not None
    assert record.stream.frames == 5002


@pytest.mark.parametrize("is_settled", [False, True])
def test_an_error_cuts_a_stream(is_settled: bool) -> None:
    """Counts before an error are partial, unless the output had ended already."""
    counted = [
        chunk("a", usage=CHAT_USAGE),
        *([chunk(None, "stop", usage=CHAT_USAGE)] if is_settled else []),
    ]
    answer = sse(*counted, {"error": {"type": "server_error", "message": "sorry"}})
    record = streamed(answer)
    assert (record.error_type, record.input_tokens) == ("server_error", 19)
    assert record.usage_state == ("exact" if is_settled else "partial")
