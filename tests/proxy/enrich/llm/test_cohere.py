"""Calls of Cohere: chat with tools, embed and rerank; plain and streamed chat stand in the table."""

from proxy.enrich.facts import CallUsage
from proxy.enrich.llm.cohere import read


def test_what_is_strange_counts_nothing() -> None:
    """It is read as far as it has the shape."""
    for raw in (
        b"[]",
        b'{"usage": 1, "meta": [], "message": {"tool_calls": 5}}',
        b'{"message": {"tool_calls": [1]}}',
    ):
        usage = CallUsage()
        read(usage, raw)
        assert (usage.has_usage, usage.tools) == (False, {})
