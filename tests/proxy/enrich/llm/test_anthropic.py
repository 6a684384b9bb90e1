"""Calls of Anthropic shape: messages, cumulative counts, errors."""

import json
from typing import Any

import pytest

from proxy.enrich.llm.anthropic import read
from proxy.enrich.llm.call import CallUsage
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


def iteration(kind: str, given: int, output: int, *, cached: int = 0, **more: Any) -> dict[str, Any]:
    """One time that the server sampled for a message."""
    return {
        "type": kind, "input_tokens": given, "output_tokens": output, "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
    } | more  # fmt: skip


def test_what_a_compaction_took_is_counted() -> None:
    """The other counts of the message do not have it, and it is billed like them; a stream says it once more."""
    iterations = [iteration("compaction", 180_000, 3500), iteration("message", 23_000, 1000)]
    last = {"input_tokens": 23_000, "output_tokens": 1000, "iterations": iterations}
    answer = named(
        {"type": "message_start", "message": {"model": "claude-opus-5", "usage": {"input_tokens": 23_000}}},
        {"type": "message_delta", "delta": {"stop_reason": None}, "usage": last},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": last},
        {"type": "message_stop"},
    )
    record = record_of("/v1/messages", ANTHROPIC, answer, content_type="text/event-stream")
    assert (record.input_tokens, record.output_tokens) == (203_000, 4500)
    assert record.cost_usd == pytest.approx((203_000 * 5 + 4500 * 25) / 1e6)


def test_an_advisor_is_another_model() -> None:
    """Its tokens are none of the model that was asked, and are paid at its own price."""
    usage = iteration("", 1760, 531, cached=412) | {
        "iterations": [
            iteration("message", 412, 89),
            iteration("advisor_message", 823, 1612, model="claude-opus-5"),
            iteration("message", 1348, 442, cached=412),
        ],
        "cache_creation": {"ephemeral_1h_input_tokens": 0},
    }
    answer = {"type": "message", "model": "claude-sonnet-4-6", "stop_reason": "end_turn", "usage": usage}
    record = record_of("/v1/messages", ANTHROPIC, answer)
    assert facts_of(record)[2:6] == ("claude-sonnet-4-6", 2172, 531, 412)
    assert record.cost_usd == pytest.approx((1760 * 3 + 412 * 0.3 + 531 * 15 + 823 * 5 + 1612 * 25) / 1e6)
    assert record.stream is not None
    assert record.stream.meters == {"other_models_input_tokens": 823, "other_models_output_tokens": 1612}
    assert record.stream.cost_lacks is None


@pytest.mark.parametrize(("said", "more"), [(0, 0.0), (40, 412 * 10 + 40 * 50)])
def test_who_declined_is_paid_for_what_it_said(said: int, more: float) -> None:
    """Another model has answered; one that declined before it said anything costs nothing."""
    usage = iteration("", 500, 60) | {
        "iterations": [
            iteration("message", 412, said, model="claude-fable-5"),
            iteration("fallback_message", 500, 60, model="claude-opus-5"),
        ]
    }
    answer = {"type": "message", "model": "claude-opus-5", "stop_reason": "end_turn", "usage": usage}
    record = record_of("/v1/messages", ANTHROPIC | {"model": "claude-fable-5"}, answer)
    assert (record.input_tokens, record.output_tokens) == (500, 60)
    assert record.cost_usd == pytest.approx((500 * 5 + 60 * 25 + more) / 1e6)


@pytest.mark.parametrize(("place", "lacks"), [("us", ["inference in us"]), ("global", None), ("not_available", None)])
def test_a_region_has_a_price_of_its_own(place: str, lacks: list[str] | None) -> None:
    """The list does not know it, so the cost is said to be another."""
    usage = ANTHROPIC_USAGE | {"inference_geo": place, "iterations": []}
    answer = {"type": "message", "model": "claude-opus-5", "stop_reason": "end_turn", "usage": usage}
    record = record_of("/v1/messages", ANTHROPIC, answer)
    assert record.input_tokens == 132
    assert record.stream is not None
    assert record.stream.cost_lacks == lacks


@pytest.mark.parametrize(("said", "usd"), [(0, 0.0), (3, (412 * 5 + 3 * 25) / 1e6)])
def test_what_was_refused_at_once_costs_nothing(said: int, usd: float) -> None:
    """Unlike a refusal that came later: https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback"""
    usage = {"input_tokens": 412, "output_tokens": said}
    answer = {"type": "message", "model": "claude-opus-5", "stop_reason": "refusal", "content": [], "usage": usage}
    record = record_of("/v1/messages", ANTHROPIC, answer)
    assert record.cost_usd == pytest.approx(usd)
    assert record.input_tokens == 412


def test_what_openrouter_charged_is_the_price_of_all() -> None:
    """It says so in Anthropic's words, too, and has paid for the advisor."""
    usage = ANTHROPIC_USAGE | {
        "cost": 0.25,
        "iterations": [iteration("message", 5, 6), iteration("advisor_message", 7, 8, model="claude-opus-5")],
    }
    answer = {"type": "message", "model": "claude-sonnet-4-6", "stop_reason": "end_turn", "usage": usage}
    record = record_of("/v1/messages", ANTHROPIC, answer)
    assert (record.cost_usd, record.price_source) == (0.25, "reported")


def test_each_time_is_priced_by_its_own_length() -> None:
    """Three times 90 000 tokens are not one prompt of 270 000, which costs more with some models."""
    usage = {"input_tokens": 270_000, "output_tokens": 30, "iterations": [iteration("message", 90_000, 10)] * 3}
    answer = {"type": "message", "model": "claude-haiku-5-5", "stop_reason": "end_turn", "usage": usage}
    record = record_of("/v1/messages", ANTHROPIC, answer)
    assert record.input_tokens == 270_000
    alone = record_of("/v1/messages", ANTHROPIC, answer | {"usage": iteration("", 90_000, 10)})
    assert alone.cost_usd is not None
    assert record.cost_usd == pytest.approx(3 * alone.cost_usd)


def test_other_models_are_bounded() -> None:
    """Whatever an answer says, few prices are looked up for it."""
    iterations = [iteration("advisor_message", 1, 2, model=f"m{number % 40}") for number in range(4000)]
    usage = {"input_tokens": 5, "output_tokens": 6, "iterations": [iteration("message", 5, 6), *iterations]}
    answer = {"type": "message", "model": "claude-opus-5", "stop_reason": "end_turn", "usage": usage}
    found = CallUsage()
    read(found, json.dumps(answer).encode())
    assert len(found.others) == 9
    assert sum(other.input_tokens or 0 for other in found.others) == 4000
    record = record_of("/v1/messages", ANTHROPIC, answer, windows=(1 << 20, 0))
    assert (record.input_tokens, record.cost_usd) == (5, None)
