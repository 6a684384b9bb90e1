"""Calls of Anthropic shape: messages, cumulative counts, errors."""

import json
from typing import Any

from proxy.enrich.llm.anthropic import read
from proxy.enrich.llm.call import CallUsage
from tests.proxy.enrich.calls import ANTHROPIC, ANTHROPIC_USAGE, facts_of, record_of


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
