"""Cohere API v2: chat, embed and rerank, and its copies (vLLM; rerank of Voyage, Jina and others).

Tokens are the billed ones: Cohere's own additions to a prompt are not billed. The last event of a
stream, `message-end`, has counts and reason. An error has a message and no type. A copy of rerank
reports a model and a total of tokens, all of them input.
"""

import re
from typing import Any, Final

import msgspec

from proxy.enrich.facts import CallUsage
from proxy.enrich.formats.json_parts import (
    amount_of,
    count_of,
    first_count,
    members_of,
    object_in,
    part_of,
    value_in,
    values_at,
)
from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.llm.provider import Provider


def read(usage: CallUsage, data: bytes) -> None:
    document = members_of(data)
    _read_part(usage, document)
    _read_part(usage, members_of(document.get("delta")))
    if value_in(document, "type") == "message-end":
        usage.is_finished = True
        usage.is_settled |= usage.has_usage


def _read_part(usage: CallUsage, part: dict[str, msgspec.Raw]) -> None:
    """Read an event, its delta, or a whole response."""
    reason = value_in(part, "finish_reason")
    usage.set_texts(resolved_model=value_in(part, "model"), finish_reason=reason)
    if value_in(part, "error") is not None or reason in ("ERROR", "TIMEOUT"):
        usage.fail(reason)
    for name in ("usage", "meta"):
        if (counts := object_in(part, name)) is not None:
            _read_counts(usage, counts)
    # A response has a list of calls, an event a single one.
    if "message" in part and b'"tool_calls"' in bytes(part["message"]):
        usage.add_tools(values_at(part["message"], "tool_calls", "function", "name"))


def _read_counts(usage: CallUsage, counts: dict[str, Any]) -> None:
    units = part_of(counts, "billed_units", "tokens")
    usage.update(
        input_tokens=first_count(units.get("input_tokens"), counts.get("total_tokens")),
        output_tokens=count_of(units.get("output_tokens")),
        cache_read_tokens=count_of(counts.get("cached_tokens")),
        cost_usd=amount_of(counts.get("cost")),
    )
    usage.measure(
        rerank_searches=units.get("search_units") or counts.get("search_units"),
        images=units.get("images"),
    )


PROVIDER: Final = Provider(
    name="cohere",
    wanted=compile_bytes(rb'"message-end"|"tool-call-start"|"error"'),
    read=read,
    content=re.compile(rb'"(?:content|tool-plan|tool-call)-delta"|"tool-call-start"'),
    members=frozenset((b"usage", b"meta", b"type", b"model", b"delta", b"finish_reason", b"error")),
    reason=b"finish_reason",
    wrapper=b"delta",
    ends=("/chat", "/embed", "/rerank"),
    paths=r"/v2/(?:chat|embed)|/v1/embed|/rerank",
    request_members={"rerank": (b"documents",)},
    response_members=(
        b'"billed_units"', b'"message-start"', b'"finish_reason"', b'"embeddings"', b'"relevance_score"',
    ),
    error_members=(b'"message"', b'"id"'),
)  # fmt: skip
