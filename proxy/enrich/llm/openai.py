"""OpenAI: chat completions, completions, responses and embeddings, there and wherever the API is copied.

Any object called `usage` replaces what was read before, wherever it comes: on the last chunk with `choices: []`
(OpenAI), with `choices: null` (vLLM), on every chunk (continuous usage), on the finishing chunk (llama-server), under
`x_groq` (Groq), under `response` (responses API).
"""

import re
from typing import Any, Final

import msgspec

from proxy.enrich.formats.json_parts import amount_of, count_of, decode, is_object, text_of
from proxy.enrich.llm.call import CallUsage, Provider

_RAW: Final = msgspec.Raw()
_USAGE: Final = re.compile(rb'"usage"\s*:\s*\{')
_REASON: Final = re.compile(rb'"finish_reason"\s*:\s*"')
_TERMINATORS: Final = frozenset(("response.completed", "response.incomplete", "response.failed"))


class _Document(msgspec.Struct, gc=False):
    """A chunk, an event of the responses API, or a whole response."""

    object: Any = None
    type: Any = None
    model: Any = None
    status: Any = None
    code: Any = None
    choices: msgspec.Raw = _RAW
    usage: msgspec.Raw = _RAW
    error: msgspec.Raw = _RAW
    response: msgspec.Raw = _RAW
    x_groq: msgspec.Raw = _RAW
    incomplete_details: msgspec.Raw = _RAW


class _Counts(msgspec.Struct, gc=False):
    prompt_tokens: Any = None
    completion_tokens: Any = None
    input_tokens: Any = None
    output_tokens: Any = None
    cost: Any = None
    prompt_cache_hit_tokens: Any = None  # DeepSeek
    prompt_tokens_details: msgspec.Raw = _RAW
    completion_tokens_details: msgspec.Raw = _RAW
    input_tokens_details: msgspec.Raw = _RAW
    output_tokens_details: msgspec.Raw = _RAW


class _Details(msgspec.Struct, gc=False):
    cached_tokens: Any = None
    cache_write_tokens: Any = None
    reasoning_tokens: Any = None


class _Part(msgspec.Struct, gc=False):
    """A choice, an error, or the details of an incomplete response."""

    finish_reason: Any = None
    type: Any = None
    code: Any = None
    reason: Any = None


_DOCUMENT: Final = msgspec.json.Decoder(_Document)
_COUNTS: Final = msgspec.json.Decoder(_Counts)
_DETAILS: Final = msgspec.json.Decoder(_Details)
_PART: Final = msgspec.json.Decoder(_Part)
_PARTS: Final = msgspec.json.Decoder(list[_Part])


def is_wanted(data: bytes) -> bool:
    return (
        data == b"[DONE]"
        or b'"error"' in data
        or (b'"usage"' in data and _USAGE.search(data) is not None)
        or _REASON.search(data) is not None
        or (b'"response.' in data and b'"response"' in data)
    )


def read(usage: CallUsage, data: bytes) -> None:
    if data == b"[DONE]":
        usage.is_finished = True
        return
    document = decode(_DOCUMENT, data)
    if document is None:
        return
    if is_object(document.response):
        inner = decode(_DOCUMENT, document.response)
        if inner is not None:
            _read_object(usage, inner)
        usage.is_finished = usage.is_finished or document.type in _TERMINATORS
        return
    _read_object(usage, document)
    if document.type == "error" or document.object == "error":
        # The responses API and Mistral send an error as the document itself.
        usage.fail(usage.error_type, document.type if document.object == "error" else None, document.code)


def _read_object(usage: CallUsage, document: _Document) -> None:
    usage.set_resolved_model(document.model)
    if is_object(document.error):
        error = decode(_PART, document.error) or _Part()
        usage.fail(error.type, error.code)
    elif bytes(document.error)[:1] == b'"':
        usage.error_type = "error"
    usage.finish_reason = _finish_reason(document) or usage.finish_reason
    _read_counts(usage, document.usage)
    if is_object(document.x_groq) and (inner := decode(_DOCUMENT, document.x_groq)) is not None:
        _read_counts(usage, inner.usage)


def _finish_reason(document: _Document) -> str | None:
    if document.object == "response":
        if is_object(document.incomplete_details):
            return text_of((decode(_PART, document.incomplete_details) or _Part()).reason)
        return text_of(document.status) if document.status in ("completed", "failed", "cancelled") else None
    if bytes(document.choices)[:1] != b"[":
        return None
    reasons = (text_of(choice.finish_reason) for choice in decode(_PARTS, document.choices) or ())
    return next((reason for reason in reasons if reason), None)


def _read_counts(usage: CallUsage, raw: msgspec.Raw) -> None:
    counts = decode(_COUNTS, raw) if is_object(raw) else None
    if counts is None:
        return
    inputs = decode(_DETAILS, counts.prompt_tokens_details) or decode(_DETAILS, counts.input_tokens_details)
    outputs = decode(_DETAILS, counts.completion_tokens_details) or decode(_DETAILS, counts.output_tokens_details)
    inputs, outputs = inputs or _Details(), outputs or _Details()
    usage.update(
        input_tokens=_first(counts.prompt_tokens, counts.input_tokens),
        output_tokens=_first(counts.completion_tokens, counts.output_tokens),
        cache_read_tokens=_first(inputs.cached_tokens, counts.prompt_cache_hit_tokens),
        cache_write_tokens=count_of(inputs.cache_write_tokens),
        reasoning_tokens=count_of(outputs.reasoning_tokens),
        cost_usd=amount_of(counts.cost),
    )
    usage.is_settled = usage.is_settled or usage.finish_reason is not None


def _first(*values: object) -> int | None:
    return next((count for value in values if (count := count_of(value)) is not None), None)


PROVIDER: Final = Provider(
    name="openai",
    is_wanted=is_wanted,
    read=read,
    content=re.compile(
        rb'"(?:content|text|reasoning|reasoning_content|refusal|arguments)"\s*:\s*"[^"]|"response\.[a-z_.]+\.delta"'
        rb'|"tool_calls"\s*:\s*\[\s*\{'
    ),
    members=(b"usage", b"model", b"error", b"object", b"status", b"incomplete_details"),
    reasons=(b"finish_reason",),
)
