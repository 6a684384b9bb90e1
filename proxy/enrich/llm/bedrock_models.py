"""The formats of models on Bedrock: Llama, Titan, Nova, Mistral, Cohere; Anthropic's models use Anthropic's own.

For every model, Bedrock adds its own counts to the last document of an invoke stream, and sends them as headers with a
response that is no stream: models that count nothing themselves have only these.
"""

import re
from typing import Any, Final

import msgspec

from proxy.enrich.formats.json_parts import count_of, decode, decode_array, decode_object, first_count, text_of
from proxy.enrich.llm.call import CallUsage

_RAW: Final = msgspec.Raw()
_HEADER: Final = re.compile(
    rb"\r\nx-amzn-bedrock-((?:cache-read-|cache-write-)?input|output)-token-count:[ \t]*([0-9]{1,15})(?=[ \t\r]|$)",
    re.IGNORECASE,
)
_TIER: Final = re.compile(rb"\r\nx-amzn-bedrock-service-tier:[ \t]*([a-z]{1,32})(?=[ \t\r]|$)", re.IGNORECASE)


class _Document(msgspec.Struct, gc=False):
    # Llama
    prompt_token_count: Any = None
    generation_token_count: Any = None
    stop_reason: Any = None
    # Titan
    input_text_token_count: Any = msgspec.field(default=None, name="inputTextTokenCount")
    total_output_text_token_count: Any = msgspec.field(default=None, name="totalOutputTextTokenCount")
    completion_reason: Any = msgspec.field(default=None, name="completionReason")
    results: msgspec.Raw = _RAW
    # Mistral
    outputs: msgspec.Raw = _RAW
    choices: msgspec.Raw = _RAW
    # Cohere
    finish_reason: Any = None
    # Bedrock itself
    metrics: msgspec.Raw = msgspec.field(default=_RAW, name="amazon-bedrock-invocationMetrics")


class _Part(msgspec.Struct, gc=False):
    """A result, an output or a choice."""

    token_count: Any = msgspec.field(default=None, name="tokenCount")
    completion_reason: Any = msgspec.field(default=None, name="completionReason")
    stop_reason: Any = None
    finish_reason: Any = None


class _Metrics(msgspec.Struct, gc=False, rename="camel"):
    input_token_count: Any = None
    output_token_count: Any = None
    cache_read_input_token_count: Any = None
    cache_write_input_token_count: Any = None


_DOCUMENT: Final = msgspec.json.Decoder(_Document)
_PARTS: Final = msgspec.json.Decoder(list[_Part])
_METRICS: Final = msgspec.json.Decoder(_Metrics)


def read_document(usage: CallUsage, data: bytes) -> None:
    """Read a response, or one document of a stream."""
    document = decode(_DOCUMENT, data)
    if document is None:
        return
    usage.update(
        input_tokens=first_count(document.prompt_token_count, document.input_text_token_count),
        output_tokens=first_count(document.generation_token_count, document.total_output_text_token_count),
    )
    reason = text_of(document.stop_reason or document.completion_reason or document.finish_reason)
    for raw in (document.results, document.outputs, document.choices):
        for part in decode_array(_PARTS, raw):
            usage.update(output_tokens=count_of(part.token_count))
            reason = text_of(part.completion_reason or part.stop_reason or part.finish_reason) or reason
    usage.finish_reason = reason or usage.finish_reason
    if (metrics := decode_object(_METRICS, document.metrics)) is not None:
        add_counts(
            usage,
            count_of(metrics.input_token_count),
            count_of(metrics.output_token_count),
            # Without them, what the model itself said of its cache holds.
            first_count(metrics.cache_read_input_token_count, usage.cache_read_tokens),
            first_count(metrics.cache_write_input_token_count, usage.cache_write_tokens),
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
