"""Calls of Anthropic shape: messages, cumulative counts, errors."""

from tests.proxy.enrich.calls import ANTHROPIC, ANTHROPIC_USAGE, facts_of, named, record_of


def test_anthropic_message() -> None:
    """Input counts what was cached too."""
    answer = {
        "type": "message",
        "model": "claude-x",
        "stop_reason": "end_turn",
        "content": [],
        "usage": ANTHROPIC_USAGE,
    }
    record = record_of("/v1/messages", ANTHROPIC, answer)
    assert facts_of(record) == ("anthropic", "claude-sonnet-4-5", "claude-x", 132, 1, 7, 100, None)


def test_anthropic_stream_counts_are_cumulative() -> None:
    """Later counts replace earlier ones, nulls replace nothing, and nothing is added up."""
    answer = named(
        {"type": "message_start", "message": {"model": "claude-x", "usage": ANTHROPIC_USAGE}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
        {"type": "message_delta", "delta": {"stop_reason": None}, "usage": {"output_tokens": 5}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {
            "input_tokens": 26, "output_tokens": 12, "cache_read_input_tokens": None,
            "output_tokens_details": {"thinking_tokens": 3}}},
        {"type": "message_stop"},
    )  # fmt: skip
    record = record_of("/v1/messages", ANTHROPIC, answer, content_type="text/event-stream; charset=utf-8")
    assert facts_of(record) == ("anthropic", "claude-sonnet-4-5", "claude-x", 133, 12, 7, 100, 3)
    assert record.usage_state == "exact"
    cut = answer[: answer.index(b"event: message_stop")]
    assert record_of("/v1/messages", ANTHROPIC, cut, content_type="text/event-stream").usage_state == "exact"
    early = answer[: answer.index(b"event: message_delta")]
    assert record_of("/v1/messages", ANTHROPIC, early, content_type="text/event-stream").usage_state == "partial"


def test_anthropic_errors() -> None:
    """The type, in an answer and as an event of a stream that began with 200."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "overloaded"}}
    assert record_of("/v1/messages", ANTHROPIC, error, status=529).error_type == "overloaded_error"
    answer = named({"type": "message_start", "message": {"model": "claude-x", "usage": ANTHROPIC_USAGE}}, error)
    record = record_of("/v1/messages", ANTHROPIC, answer, content_type="text/event-stream")
    assert (record.error_type, record.status, record.input_tokens) == ("overloaded_error", 200, 132)
    assert record.level == "error"  # or nobody who looks for failures would find it


def test_model_between_the_windows() -> None:
    """A model that was not captured is taken from the answer."""
    body = {
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "x" * 9000}],
        "model": "lost",
        "tools": ["y" * 9000],
    }
    answer = {"type": "message", "model": "claude-x", "usage": ANTHROPIC_USAGE}
    assert facts_of(record_of("/v1/messages", body, answer, windows=(1000, 500)))[1:3] == ("claude-x", "claude-x")
