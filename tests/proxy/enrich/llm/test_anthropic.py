"""Calls of Anthropic shape: messages, cumulative counts, errors."""

import json
from typing import Any

from proxy.enrich.facts import CallUsage
from proxy.enrich.llm.anthropic import read
from tests.proxy.enrich.calls import ANTHROPIC, ANTHROPIC_USAGE, facts_of, named, record_of
from tests.support.cases import each_of


def test_model_between_the_windows() -> None:
    """A model that was not captured is taken from the answer."""
    body = {
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "x" * 9000}],
        "model": "lost",
        "tools": ["y" * 9000],
    }
    answer = {"type": "message", "model": "claude-x", "usage": ANTHROPIC_USAGE}
    assert facts_of(record_of("/v1/messages", body, answer, windows=(1000, 500)))[1:3] == (
        "claude-x",
        "claude-x",
    )


def iteration(
    kind: str, given: int, output: int, *, cached: int = 0, **more: Any
) -> dict[str, Any]:
    """One time that the server sampled for a message."""
    return {
        "type": kind, "input_tokens": given, "output_tokens": output, "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
    } | more  # fmt: skip


def test_other_models_are_bounded() -> None:
    """Whatever an answer says, few prices are looked up for it."""
    iterations = [
        iteration("advisor_message", 1, 2, model=f"m{number % 40}") for number in range(4000)
    ]
    usage = {
        "input_tokens": 5,
        "output_tokens": 6,
        "iterations": [iteration("message", 5, 6), *iterations],
    }
    answer = {
        "type": "message",
        "model": "claude-opus-5",
        "stop_reason": "end_turn",
        "usage": usage,
    }
    found = CallUsage()
    read(found, json.dumps(answer).encode())
    assert len(found.others) == 9
    assert sum(other.input_tokens or 0 for other in found.others) == 4000
    record = record_of("/v1/messages", ANTHROPIC, answer, windows=(1 << 20, 0))
    assert (record.input_tokens, record.cost_usd) == (5, None)


@each_of(
    ("location", "model", "lacks"),
    [
        ("us-east5", "claude-sonnet-4-5@20250929", ["inference in us-east5"]),
        ("eu", "claude-opus-4-5@20251101", ["inference in eu"]),
        ("europe-west1", "claude-haiku-4-5", ["inference in europe-west1"]),
        ("global", "claude-sonnet-4-5@20250929", []),
        ("us-east5", "claude-sonnet-4@20250514", []),
        ("us-east5", "claude-opus-4-1@20250805", []),
        ("us-east5", "claude-3-5-haiku@20241022", []),
    ],
)
@each_of("action", ["rawPredict", "streamRawPredict"])
def test_a_region_of_vertex_has_a_price_of_its_own(
    location: str, model: str, lacks: list[str], action: str
) -> None:
    """From Sonnet 4.5 on: what the list says is the price of the global endpoint, so the cost is
    partial.
    """
    usage = {"input_tokens": 1000, "output_tokens": 300}
    name = model.partition("@")[0]
    message = {"type": "message", "model": name, "stop_reason": "end_turn", "usage": usage}
    streamed = named({"type": "message_start", "message": message | {"stop_reason": None}},
                     {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
                     {"type": "message_stop"})  # fmt: skip
    is_stream = action == "streamRawPredict"
    path = f"/v1/projects/p/locations/{location}/publishers/anthropic/models/{model}:{action}"
    record = record_of(
        path, ANTHROPIC | {"stream": is_stream}, streamed if is_stream else message,
        content_type="text/event-stream" if is_stream else "application/json",
        upstream=f"{location}-aiplatform.googleapis.com:443",
    )  # fmt: skip
    assert record.cost_usd is not None
    assert ("partial" in (record.price_source or "")) == bool(lacks)
    found = None if record.stream is None else record.stream.cost_lacks
    assert (found or []) == lacks


@each_of("name", ["service_tier", "inference_geo", "speed"])
def test_no_secret_of_an_answer_is_among_what_a_cost_lacks(name: str) -> None:
    """Whatever stands in the place of a tier or a region."""
    key = "sk-proj-" + "aB3dE5gH7jK9" * 4
    usage = {"input_tokens": 1000, "output_tokens": 300, name: key}
    answer = {
        "type": "message",
        "model": "claude-sonnet-4-5",
        "stop_reason": "end_turn",
        "usage": usage,
    }
    record = record_of("/v1/messages", ANTHROPIC | {"stream": False}, answer)
    assert record.stream is not None
    assert name == "speed" or record.stream.cost_lacks
    assert key not in repr(record)
