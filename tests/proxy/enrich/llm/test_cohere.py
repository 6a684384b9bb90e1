"""Calls of Cohere: chat with tools, embed and rerank; plain and streamed chat stand in the table."""

from typing import Any

import pytest

from proxy.enrich.llm.call import CallUsage
from proxy.enrich.llm.cohere import read
from tests.proxy.enrich.calls import facts_of, named, record_of

CHAT = {"model": "command-a", "messages": [{"role": "user", "content": "hi"}]}
CALL = {"id": "weather_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
USAGE = {
    "billed_units": {"input_tokens": 5.0, "output_tokens": 418},
    "tokens": {"input_tokens": 71, "output_tokens": 421},
    "cached_tokens": 2,
}


def test_tools_are_named() -> None:
    """A whole message has a list of calls, an event one: https://docs.cohere.com/v2/docs/tool-use-streaming"""
    answer = {"id": "x", "finish_reason": "TOOL_CALL", "message": {"tool_calls": [CALL]}, "usage": USAGE}
    plain = record_of("/v2/chat", CHAT, answer)
    events: list[dict[str, Any]] = [
        {"type": "message-start", "id": "x", "delta": {"message": {"role": "assistant"}}},
        {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": CALL}}},
        {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": USAGE}},
    ]
    for record in (plain, record_of("/v2/chat", CHAT, named(*events), content_type="text/event-stream")):
        assert facts_of(record)[:6] == ("cohere", "command-a", None, 5, 418, 2)
        assert record.stream is not None
        assert (record.stream.tools, record.stream.finish_reason) == (["weather"], "TOOL_CALL")


@pytest.mark.parametrize(
    ("path", "body", "answer", "input_tokens", "meters"),
    [
        (  # https://docs.cohere.com/reference/embed
            "/v2/embed",
            {"model": "embed-v4.0", "texts": ["a"], "input_type": "classification"},
            {"id": "x", "embeddings": {"float": [[0.1]]}, "meta": {"billed_units": {"input_tokens": 2}}},
            2,
            None,
        ),
        (  # https://docs.cohere.com/reference/rerank
            "/cohere/v2/rerank",
            {"model": "rerank-v3.5", "query": "a", "documents": ["b"]},
            {
                "id": "x",
                "results": [{"index": 0, "relevance_score": 0.9}],
                "meta": {"billed_units": {"search_units": 1}},
            },
            None,
            {"rerank_searches": 1},
        ),
    ],
)
def test_what_is_no_chat(
    path: str, body: dict[str, Any], answer: dict[str, Any], input_tokens: int | None, meters: dict[str, int] | None
) -> None:
    """Counts stand in the meta data; searches are no tokens."""
    record = record_of(path, body, answer)
    assert (record.provider, record.model, record.input_tokens, record.usage_state) == (
        *("cohere", body["model"]),
        *(input_tokens, "exact"),
    )
    assert (record.stream.meters if record.stream else None) == meters


@pytest.mark.parametrize(
    ("host", "answer", "provider", "usd"),
    [
        (  # https://docs.voyageai.com/docs/reranker
            "api.voyageai.com",
            {"object": "list", "data": [{"relevance_score": 0.4, "index": 0}], "model": "rerank-2.5",
             "usage": {"total_tokens": 26}},
            "voyageai", None,
        ),
        (  # https://openrouter.ai/docs/api/api-reference/rerank
            "openrouter.ai",
            {"results": [{"index": 0, "relevance_score": 0.9}], "usage": {"total_tokens": 26, "cost": 0.001}},
            "openrouter", 0.001,
        ),
        (
            "vllm",
            {"id": "x", "results": [{"index": 0, "relevance_score": 0.9}], "usage": {"total_tokens": 26}},
            "cohere", None,
        ),
    ],
)  # fmt: skip
def test_a_rerank_of_others(host: str, answer: dict[str, Any], provider: str, usd: float | None) -> None:
    """They have one at their first version, tell a total, and some what it cost."""
    asked = {"model": "rerank-2.5", "query": "a", "documents": ["b"]}
    record = record_of("/v1/rerank", asked, answer, upstream=f"{host}:443")
    assert (record.provider, record.model, record.input_tokens, record.usage_state) == (
        provider,
        "rerank-2.5",
        26,
        "exact",
    )
    assert record.cost_usd == (None if usd is None else pytest.approx(usd))
    assert record_of("/v1/rerank", {"candidates": ["b"]}, answer).provider is None


def test_errors_have_no_type() -> None:
    """Their message is not a type: https://docs.cohere.com/reference/errors"""
    refused = {"id": "x", "message": "invalid api token"}
    record = record_of("/v2/chat", CHAT, refused, status=401)
    assert (record.provider, record.error_type, record.usage_state) == ("cohere", "http_401", "absent")


@pytest.mark.parametrize(
    ("path", "body", "answer", "status"),
    [
        ("/v2/chat", {"text": "hi"}, {"finish_reason": "COMPLETE"}, 200),
        ("/v2/chat", CHAT, {"reply": "hello"}, 200),
        ("/v2/rerank", {"items": [1]}, {"results": []}, 200),
        ("/v2/chat", CHAT, {"message": "no"}, 404),
    ],
)
def test_what_others_have_there_is_no_call(path: str, body: object, answer: object, status: int) -> None:
    """Path, request and response must agree."""
    assert record_of(path, body, answer, status=status).provider is None


def test_what_is_strange_counts_nothing() -> None:
    """It is read as far as it has the shape."""
    for raw in (b"[]", b'{"usage": 1, "meta": [], "message": {"tool_calls": 5}}', b'{"message": {"tool_calls": [1]}}'):
        usage = CallUsage()
        read(usage, raw)
        assert (usage.has_usage, usage.tools) == (False, {})
