"""Calls of services that speak OpenAI's words and add their own, and of Ollama in its own."""

import json

from tests.proxy.enrich.calls import (
    CHAT,
    facts_of,
    record_of,
)


def test_ollama() -> None:
    """Lines of JSON by default; the last one has the counts; a cached prompt has none."""
    lines = [{"model": "llama3.2", "message": {"role": "assistant", "content": word}, "done": False} for word in "ab"]
    last = {
        "model": "llama3.2",
        "done": True,
        "done_reason": "stop",
        "total_duration": 5_000_000_000,
        "prompt_eval_count": 26,
        "eval_count": 298,
    }
    answer = b"".join(json.dumps(line).encode() + b"\n" for line in [*lines, last])
    record = record_of("/api/chat", CHAT | {"model": "llama3.2"}, answer, content_type="application/x-ndjson")
    assert facts_of(record)[:5] == ("ollama", "llama3.2", "llama3.2", 26, 298)
    assert record.stream is not None
    assert (record.stream.finished, record.stream.frames) == (True, 3)
    plain = {"model": "llama3.2", "response": "x", "done": True, "context": [1] * 3000, "eval_count": 7}
    record = record_of("/api/generate", {"model": "llama3.2", "prompt": "a"}, plain, windows=(500, 200))
    assert (record.input_tokens, record.output_tokens) == (None, 7)
    record = record_of("/api/embed", {"model": "nope", "input": "a"}, {"error": "model not found"}, status=404)
    assert (record.error_type, record.model) == ("http_404", "nope")
