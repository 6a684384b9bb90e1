"""Calls of each provider and what a record says of them: a line each in tests/fixtures/llm.

A line has the request and the answer, as JSON, `text`, `base64`, or the documents of an event
stream (`sse`; `named`, where each event has the name of its type), what else is not usual of the
exchange, and the members that are `expected`.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from proxy.enrich.facts import CallUsage
from proxy.enrich.llm import bedrock, cohere, gemini, interactions, llama_server, ollama
from storage.record import Outcome
from tests.proxy.enrich.calls import named, record_of, sse
from tests.support.cases import each_of

FIXTURES: Final = Path(__file__).parents[3] / "fixtures" / "llm"
CASES: Final = [
    json.loads(line)
    for file in sorted(FIXTURES.glob("*.jsonl"))
    for line in file.read_text().splitlines()
]


def body_of(given: Any) -> object:
    """What was sent: JSON stays what it is."""
    match given:
        case {"sse": list(documents), **more} if not more:
            return sse(*documents)
        case {"named": list(documents), **more} if not more:
            return named(*documents)
        case {"text": str(text), **more} if not more:
            return text.encode()
        case {"base64": str(text), **more} if not more:
            return base64.b64decode(text)
        case _:
            return given


@each_of("case", CASES)
def test_a_record_says_what_was_called(case: dict[str, Any]) -> None:
    """Model, counts, cost, error and the end of a stream, of every shape in which a provider
    answers; nothing of what is no call.
    """
    more = {
        name: value
        for name, value in case.items()
        if name not in ("says", "path", "request", "answer", "expected")
    }
    if "outcome" in more:
        more["outcome"] = Outcome(more["outcome"])
    record = record_of(case["path"], body_of(case["request"]), body_of(case["answer"]), **more)
    expected = {name: value for name, value in case["expected"].items() if name != "stream"}
    stream = case["expected"].get("stream", {})
    assert {name: getattr(record, name) for name in expected} == pytest.approx(expected)
    assert (stream is None) <= (record.stream is None)
    assert {name: getattr(record.stream, name) for name in stream or {}} == (stream or {})


STRANGE: Final = {
    bedrock.read_invoked: (
        *(b"[]", b"1", b"{", b'{"results": [1]}'),
        b'{"prompt_token_count": "x", "amazon-bedrock-invocationMetrics": 1}',
    ),
    cohere.read: (
        b"[]",
        b'{"usage": 1, "meta": [], "message": {"tool_calls": 5}}',
        b'{"message": {"tool_calls": [1]}}',
    ),
    gemini.read: (b"[]", b"[1]", b'{"usageMetadata": 5, "candidates": [1], "error": 1}'),
    interactions.read: (b"[]", b"{", b'{"usage": 5, "steps": [1], "errors": 7, "interaction": 1}'),
    llama_server.read: (b"[]", b"{", b'{"tokens_predicted": "x", "timings": 5, "error": 1}'),
    ollama.PROVIDER.read: (
        b"[]",
        b'{"done": "true", "eval_count": -1}',
        b'{"message": {"tool_calls": 5}}',
    ),
}


@each_of(("read", "raw"), [(read, raw) for read, raws in STRANGE.items() for raw in raws])
def test_what_is_strange_counts_nothing(
    read: Callable[[CallUsage, bytes], None], raw: bytes
) -> None:
    """It is read as far as it has the shape."""
    usage = CallUsage()
    read(usage, raw)
    assert (usage.has_usage, usage.is_finished, usage.has_failed, usage.tools) == (
        False,
        False,
        False,
        {},
    )
