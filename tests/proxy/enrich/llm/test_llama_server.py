"""Calls of llama-server in its own words; plain and streamed completions stand in the table."""

from typing import Any

import pytest

from proxy.enrich.llm.call import CallUsage
from proxy.enrich.llm.llama_server import read
from tests.proxy.enrich.calls import CHAT_ANSWER, facts_of, record_of

# https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
ANSWER: dict[str, Any] = {
    "index": 0, "content": "hello", "stop": True, "model": "qwen3.gguf", "tokens_predicted": 9, "tokens_evaluated": 20,
    "generation_settings": {"stop": ["x"], "n_predict": 9}, "prompt": "hi", "truncated": False, "stop_type": "word",
    "stopping_word": "x", "tokens_cached": 28, "timings": {"cache_n": 14, "prompt_n": 6, "predicted_n": 9},
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/completion", {"prompt": "hi", "n_predict": 9}),
        ("/completions", {"prompt": "hi", "n_predict": 9}),
        ("/infill", {"input_prefix": "a", "input_suffix": "b"}),
    ],
)
def test_its_own_endpoints(path: str, body: object) -> None:
    """All of the prompt counts as input, what was read from the cache of a slot included."""
    record = record_of(path, body, ANSWER)
    assert facts_of(record)[:6] == ("llama.cpp", "qwen3.gguf", "qwen3.gguf", 20, 9, 14)
    assert record.stream is not None
    assert (record.stream.finish_reason, record.usage_state, record.cost_usd) == ("word", "exact", None)


@pytest.mark.parametrize(
    ("path", "body", "answer", "status"),
    [
        ("/completion", {"prompt": "hi"}, {"text": "hello"}, 200),
        ("/completion", {"prompt": "hi"}, {"error": "no"}, 404),
        ("/completion", {"progress": 5}, ANSWER, 200),
        ("/props", {"default_generation_settings": {}}, {"success": True}, 200),
        ("/tokenize", {"content": "hi"}, {"tokens": [1, 2]}, 200),
    ],
)
def test_what_is_no_call(path: str, body: object, answer: object, status: int) -> None:
    """Properties and tokens are no calls, nor is what other services have at such a path."""
    assert record_of(path, body, answer, status=status).provider is None


def test_an_error_says_its_type() -> None:
    """As OpenAI's do; a call that names no model and counted nothing is none."""
    error = {"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error"}}
    record = record_of("/completion", {"prompt": "hi", "model": "qwen3"}, error, status=400)
    assert (record.provider, record.error_type) == ("llama.cpp", "exceed_context_size_error")


def test_openai_at_the_shared_path_stays_openai() -> None:
    """What the response is made of tells."""
    assert record_of("/completions", {"prompt": "hi", "model": "m"}, CHAT_ANSWER).provider == "openai"


def test_what_is_strange_counts_nothing() -> None:
    """It is read as far as it has the shape."""
    for raw in (b"[]", b"{", b'{"tokens_predicted": "x", "timings": 5, "error": 1}'):
        usage = CallUsage()
        read(usage, raw)
        assert (usage.has_usage, usage.has_failed) == (False, False)
