"""The formats of models on Bedrock: Llama, Titan, Nova, Mistral, Cohere; Anthropic's models use Anthropic's own.

For every model, Bedrock adds its own counts to the last document of an invoke stream, and sends them as headers with a
response that is no stream: models that count nothing themselves have only these.
"""

import re
from functools import partial
from typing import Final

from proxy.enrich.formats.json_parts import count_of, first_count, members_of, object_in, objects_in, text_of, value_in
from proxy.enrich.llm.call import CallUsage

_HEADER: Final = re.compile(
    rb"\r\nx-amzn-bedrock-((?:cache-read-|cache-write-)?input|output)-token-count:[ \t]*([0-9]{1,15})(?=[ \t\r]|$)",
    re.IGNORECASE,
)
_TIER: Final = re.compile(rb"\r\nx-amzn-bedrock-service-tier:[ \t]*([a-z]{1,32})(?=[ \t\r]|$)", re.IGNORECASE)


def read_document(usage: CallUsage, data: bytes) -> None:
    """Read a response, or one document of a stream."""
    document = members_of(data)
    value = partial(value_in, document)
    usage.update(
        input_tokens=first_count(value("prompt_token_count"), value("inputTextTokenCount")),
        output_tokens=first_count(value("generation_token_count"), value("totalOutputTextTokenCount")),
    )
    reason = text_of(value("stop_reason") or value("completionReason") or value("finish_reason"))
    for name in ("results", "outputs", "choices"):  # Titan; Mistral
        for part in objects_in(document, name):
            usage.update(output_tokens=count_of(value_in(part, "tokenCount")))
            said = (value_in(part, each) for each in ("completionReason", "stop_reason", "finish_reason"))
            reason = text_of(next(filter(None, said), None)) or reason
    usage.finish_reason = reason or usage.finish_reason
    if (metrics := object_in(document, "amazon-bedrock-invocationMetrics")) is not None:
        add_counts(
            usage,
            count_of(metrics.get("inputTokenCount")),
            count_of(metrics.get("outputTokenCount")),
            # Without them, what the model itself said of its cache holds.
            first_count(metrics.get("cacheReadInputTokenCount"), usage.cache_read_tokens),
            first_count(metrics.get("cacheWriteInputTokenCount"), usage.cache_write_tokens),
        )
        usage.is_finished = usage.is_settled = True  # it is the last document


def read_headers(usage: CallUsage, head: bytes) -> None:
    """Read the tier of a response's head, and its counts where its body has none, or not all of it was seen."""
    if (tier := _TIER.search(head)) is not None:
        usage.service_tier = tier[1].decode().lower()
    found = {name.lower(): int(number) for name, number in _HEADER.findall(head)}
    if not found or (usage.has_usage and not usage.is_lost):
        return
    usage.forget_counts()
    counts = (found.get(name) for name in (b"input", b"output", b"cache-read-input", b"cache-write-input"))
    add_counts(usage, *counts)
    usage.is_lost, usage.is_settled = False, not usage.is_cut


def add_counts(
    usage: CallUsage, given: int | None, output: int | None, cached: int | None, written: int | None
) -> None:
    """Note counts of Bedrock: its input excludes what a cache delivered, ours includes it."""
    usage.update(
        input_tokens=None if given is None else given + (cached or 0) + (written or 0),
        output_tokens=output,
        cache_read_tokens=cached,
        cache_write_tokens=written,
    )
