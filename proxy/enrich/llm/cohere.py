"""Cohere: chat, embed and rerank of its second version, and what copies them: vLLM; of rerank Voyage, Jina, others.

Tokens are those that are billed: what the model saw besides, of its own making, is not paid for. A stream says them in
its last event, `message-end`, with the reason. An error has a message and no type. Who copies a rerank has its model
and a total of tokens, which all are input.
"""

import re
from typing import Any, Final

import msgspec

from proxy.enrich.formats.json_parts import amount_of, count_of, decode, decode_object, first_count, text_of, values_at
from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.llm.call import CallUsage, Provider

_RAW: Final = msgspec.Raw()


class _Document(msgspec.Struct, gc=False):
    """An event, its delta, or a whole response."""

    type: Any = None
    model: Any = None
    finish_reason: Any = None
    error: Any = None
    message: msgspec.Raw = _RAW
    delta: msgspec.Raw = _RAW
    usage: msgspec.Raw = _RAW
    meta: msgspec.Raw = _RAW


class _Counts(msgspec.Struct, gc=False):
    """The usage of a chat, or the meta data of anything else."""

    billed_units: msgspec.Raw = _RAW
    tokens: msgspec.Raw = _RAW
    cached_tokens: Any = None
    total_tokens: Any = None
    search_units: Any = None
    cost: Any = None


class _Units(msgspec.Struct, gc=False):
    input_tokens: Any = None
    output_tokens: Any = None
    search_units: Any = None
    images: Any = None


_DOCUMENT: Final = msgspec.json.Decoder(_Document)
_COUNTS: Final = msgspec.json.Decoder(_Counts)
_UNITS: Final = msgspec.json.Decoder(_Units)


def read(usage: CallUsage, data: bytes) -> None:
    document = decode(_DOCUMENT, data)
    if document is None:
        return
    _read_part(usage, document)
    if (inner := decode_object(_DOCUMENT, document.delta)) is not None:
        _read_part(usage, inner)
    if document.type == "message-end":
        usage.is_finished = True
        usage.is_settled |= usage.has_usage


def _read_part(usage: CallUsage, part: _Document) -> None:
    usage.set_resolved_model(part.model)
    reason = text_of(part.finish_reason)
    usage.finish_reason = reason or usage.finish_reason
    if part.error is not None or reason in ("ERROR", "TIMEOUT"):
        usage.fail(reason)
    for raw in (part.usage, part.meta):
        if (counts := decode_object(_COUNTS, raw)) is not None:
            _read_counts(usage, counts)
    if b'"tool_calls"' in bytes(part.message):  # a list of calls, or the one that an event begins
        usage.add_tools(values_at(part.message, "tool_calls", "function", "name"))


def _read_counts(usage: CallUsage, counts: _Counts) -> None:
    units = decode_object(_UNITS, counts.billed_units) or decode_object(_UNITS, counts.tokens) or _Units()
    usage.update(
        input_tokens=first_count(units.input_tokens, counts.total_tokens),
        output_tokens=count_of(units.output_tokens),
        cache_read_tokens=count_of(counts.cached_tokens),
        cost_usd=amount_of(counts.cost),
    )
    usage.measure(rerank_searches=units.search_units or counts.search_units, images=units.images)


PROVIDER: Final = Provider(
    name="cohere",
    wanted=compile_bytes(rb'"message-end"|"tool-call-start"|"error"'),
    read=read,
    content=re.compile(rb'"(?:content|tool-plan|tool-call)-delta"|"tool-call-start"'),
    members=frozenset((b"usage", b"meta", b"type", b"model", b"delta", b"finish_reason", b"error")),
    reason=b"finish_reason",
    wrapper=b"delta",
)
