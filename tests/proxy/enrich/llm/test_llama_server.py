"""Calls of llama-server in its own words; plain and streamed completions stand in the table."""

from proxy.enrich.facts import CallUsage
from proxy.enrich.llm.llama_server import read


def test_what_is_strange_counts_nothing() -> None:
    """It is read as far as it has the shape."""
    for raw in (b"[]", b"{", b'{"tokens_predicted": "x", "timings": 5, "error": 1}'):
        usage = CallUsage()
        read(usage, raw)
        assert (usage.has_usage, usage.has_failed) == (False, False)
