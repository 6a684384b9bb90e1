"""What other models say on Bedrock: plain, in binary events, and by the head of the response."""

import base64
import json
from typing import Any

import pytest

from proxy.enrich.llm.bedrock_models import read_document, read_headers
from proxy.enrich.llm.call import CallUsage
from storage.record import Record
from tests.proxy.enrich.calls import record_of
from tests.proxy.enrich.llm.test_bedrock import KIND, event

METRICS = {
    "inputTokenCount": 11, "outputTokenCount": 22, "invocationLatency": 700, "firstByteLatency": 60,
}  # fmt: skip
# https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html: a page for each model
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]], str]] = {
    "meta.llama3-1-8b-instruct-v1:0": (
        {"prompt": "hi", "max_gen_len": 5},
        {"generation": "hello", "prompt_token_count": 11, "generation_token_count": 22, "stop_reason": "stop"},
        [
            {"generation": "he", "prompt_token_count": 11, "generation_token_count": 1, "stop_reason": None},
            {"generation": "llo", "prompt_token_count": None, "generation_token_count": 22, "stop_reason": "stop"},
        ],
        "stop",
    ),
    "amazon.titan-text-express-v1": (
        {"inputText": "hi", "textGenerationConfig": {}},
        {
            "inputTextTokenCount": 11,
            "results": [{"tokenCount": 22, "outputText": "hello", "completionReason": "FINISHED"}],
        },
        [
            {
                "outputText": "hello", "index": 0, "totalOutputTextTokenCount": 22, "completionReason": "FINISHED",
                "inputTextTokenCount": 11,
            }
        ],
        "FINISHED",
    ),
    "amazon.nova-lite-v1:0": (
        {"schemaVersion": "messages-v1", "messages": [{"role": "user", "content": [{"text": "hi"}]}]},
        {
            "output": {"message": {"role": "assistant", "content": [{"text": "hello"}]}}, "stopReason": "end_turn",
            "usage": {
                "inputTokens": 8, "outputTokens": 22, "totalTokens": 33, "cacheReadInputTokenCount": 3,
                "cacheWriteInputTokenCount": 0,
            },
        },
        [
            {"messageStart": {"role": "assistant"}},
            {"contentBlockDelta": {"delta": {"text": "hello"}, "contentBlockIndex": 0}},
            {"messageStop": {"stopReason": "end_turn"}},
            {"metadata": {"usage": {"inputTokens": 11, "outputTokens": 22}, "metrics": {}, "trace": {}}},
        ],
        "end_turn",
    ),
    "mistral.mistral-7b-instruct-v0:2": (
        {"prompt": "<s>[INST] hi [/INST]", "max_tokens": 5},
        {"outputs": [{"text": "hello", "stop_reason": "length"}]},
        [{"outputs": [{"text": "hello", "stop_reason": None}]}, {"outputs": [{"text": "", "stop_reason": "length"}]}],
        "length",
    ),
    "cohere.command-r-v1:0": (
        {"message": "hi", "chat_history": []},
        {"response_id": "r", "text": "hello", "generation_id": "g", "chat_history": [], "finish_reason": "COMPLETE"},
        [{"text": "hello", "is_finished": False}, {"finish_reason": "COMPLETE", "is_finished": True}],
        "COMPLETE",
    ),
}  # fmt: skip
HEADERS = "X-Amzn-Bedrock-Input-Token-Count: 11\r\nx-amzn-bedrock-output-token-count: 22\r\n"


def chunks(*documents: dict[str, Any]) -> bytes:
    encoded = (base64.b64encode(json.dumps(part).encode()).decode() for part in documents)
    return b"".join(event("chunk", {"bytes": part}) for part in encoded)


def is_right(record: Record, model: str, reason: str) -> None:
    assert (record.provider, record.model, record.usage_state) == ("bedrock", model, "exact")
    assert (record.input_tokens, record.output_tokens) == (11, 22)
    assert record.stream is not None
    assert record.stream.finish_reason == reason


@pytest.mark.parametrize("model", CASES)
def test_plain(model: str) -> None:
    """By its own counts, or by the head where it counts nothing itself."""
    body, answer, _, reason = CASES[model]
    path = f"/model/{model}/invoke"
    is_right(record_of(path, body, answer, response_headers=HEADERS), model, reason)
    alone = record_of(path, body, answer)
    assert (alone.input_tokens, alone.output_tokens) in ((11, 22), (None, None))
    assert alone.usage_state == ("absent" if alone.input_tokens is None else "exact")


@pytest.mark.parametrize("model", CASES)
def test_stream(model: str) -> None:
    """Bedrock's own counts come with the last document, whoever's model it is."""
    body, _, documents, reason = CASES[model]
    raw = chunks(*documents[:-1], documents[-1] | {"amazon-bedrock-invocationMetrics": METRICS})
    record = record_of(f"/model/{model}/invoke-with-response-stream", body, raw, content_type=KIND)
    is_right(record, model, reason)
    assert record.stream is not None
    assert record.stream.end == "complete"


def test_heads_stand_in_for_what_was_not_seen() -> None:
    """A document whose middle is missing has counts in the head; nothing of a head replaces a model's own counts."""
    body, answer, _, _ = CASES["cohere.command-r-v1:0"]
    long = answer | {"text": "word " * 5000}
    record = record_of("/model/m/invoke", body, long, response_headers=HEADERS, windows=(3000, 1000))
    assert (record.input_tokens, record.output_tokens, record.usage_state) == (11, 22, "exact")
    usage = CallUsage(input_tokens=1)
    read_headers(usage, b"\r\nx-amzn-bedrock-input-token-count: 9")
    assert usage.input_tokens == 1
    read_headers(usage := CallUsage(), b"\r\nx-amzn-bedrock-input-token-count: nine")
    assert usage.input_tokens is None


@pytest.mark.parametrize(
    "raw",
    [b"[]", b"1", b"{", b'{"results": [1]}', b'{"prompt_token_count": "x", "amazon-bedrock-invocationMetrics": 1}'],
)
def test_what_is_strange_counts_nothing(raw: bytes) -> None:
    """It is read as far as it has the shape."""
    usage = CallUsage()
    read_document(usage, raw)
    assert not usage.has_usage


def test_the_tier_stands_in_the_head() -> None:
    """Of a model that is asked in its own words nothing else tells it."""
    answer = {"generation": "hi", "prompt_token_count": 5, "generation_token_count": 2, "stop_reason": "stop"}
    head = "X-Amzn-Bedrock-Service-Tier: flex\r\n"
    record = record_of("/model/meta.llama3-8b-instruct-v1:0/invoke", {"prompt": "hi"}, answer, response_headers=head)
    assert record.stream is not None
    assert (record.input_tokens, record.stream.service_tier) == (5, "flex")
    assert record.stream.cost_lacks == ["service tier flex"]
