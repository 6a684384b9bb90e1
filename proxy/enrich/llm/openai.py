"""The OpenAI shape: chat completions, completions, responses and embeddings, of OpenAI and all who copy it.

Any object called `usage` overwrites what was read before, wherever it comes: on the last chunk with `choices: []`
(OpenAI), with `choices: null` (vLLM), on every chunk (continuous usage), on the finishing chunk (llama-server), under
`x_groq` (Groq), under `response` (responses API).
"""

import re
from typing import Any, Final

import msgspec

from proxy.enrich.formats.json_parts import amount_of, count_of, decode, is_object, text_of
from proxy.enrich.llm.call import Reading, Shape

_RAW: Final = msgspec.Raw()
_USAGE: Final = re.compile(rb'"usage"\s*:\s*\{')
_REASON: Final = re.compile(rb'"finish_reason"\s*:\s*"')
_TERMINATORS: Final = frozenset(("response.completed", "response.incomplete", "response.failed"))


class _Document(msgspec.Struct, gc=False):
    """A chunk, an event of the responses API, or an answer."""

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


class _Usage(msgspec.Struct, gc=False):
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


class _Choice(msgspec.Struct, gc=False):
    finish_reason: Any = None


class _Error(msgspec.Struct, gc=False):
    type: Any = None
    code: Any = None


class _Reason(msgspec.Struct, gc=False):
    reason: Any = None


_DOCUMENT: Final = msgspec.json.Decoder(_Document)
_COUNTS: Final = msgspec.json.Decoder(_Usage)
_DETAILS: Final = msgspec.json.Decoder(_Details)
_CHOICES: Final = msgspec.json.Decoder(list[_Choice])
_ERROR: Final = msgspec.json.Decoder(_Error)
_INCOMPLETE: Final = msgspec.json.Decoder(_Reason)


def is_wanted(data: bytes) -> bool:
    """Whether a frame has counts, a reason, an error, the end, or a whole response object."""
    return (
        data == b"[DONE]"
        or b'"error"' in data
        or (b'"usage"' in data and _USAGE.search(data) is not None)
        or _REASON.search(data) is not None
        or (b'"response.' in data and b'"response"' in data)
    )


def read(reading: Reading, data: bytes) -> None:
    """Read a frame or an answer."""
    if data == b"[DONE]":
        reading.is_finished = True
        return
    document = decode(_DOCUMENT, data)
    if document is None:
        return
    if is_object(document.response):
        inner = decode(_DOCUMENT, document.response)
        if inner is not None:
            _read_object(reading, inner)
        reading.is_finished = reading.is_finished or document.type in _TERMINATORS
        return
    _read_object(reading, document)
    if document.type == "error" or document.object == "error":
        # The responses API and Mistral word an error as the document itself.
        kind = text_of(document.type) if document.object == "error" else None
        reading.error_type = reading.error_type or kind or text_of(document.code) or "error"
        reading.is_finished = True


def _read_object(reading: Reading, document: _Document) -> None:
    if model := text_of(document.model):
        reading.resolved_model = model
    if is_object(document.error):
        _read_error(reading, document.error)
    elif bytes(document.error)[:1] == b'"':
        reading.error_type = "error"
    reason = _reason(document)
    reading.finish_reason = reason or reading.finish_reason
    _read_usage(reading, document.usage)
    if is_object(document.x_groq) and (inner := decode(_DOCUMENT, document.x_groq)) is not None:
        _read_usage(reading, inner.usage)


def _reason(document: _Document) -> str | None:
    if document.object == "response":
        if is_object(document.incomplete_details):
            found = decode(_INCOMPLETE, document.incomplete_details)
            return None if found is None else text_of(found.reason)
        return text_of(document.status) if document.status in ("completed", "failed", "cancelled") else None
    if bytes(document.choices)[:1] != b"[":
        return None
    reasons = (text_of(choice.finish_reason) for choice in decode(_CHOICES, document.choices) or ())
    return next((reason for reason in reasons if reason), None)


def _read_error(reading: Reading, raw: msgspec.Raw) -> None:
    error = decode(_ERROR, raw)
    reading.error_type = (error and (text_of(error.type) or text_of(error.code))) or "error"
    reading.is_finished = True


def _read_usage(reading: Reading, raw: msgspec.Raw) -> None:
    usage = decode(_COUNTS, raw) if is_object(raw) else None
    if usage is None:
        return
    inputs = decode(_DETAILS, usage.prompt_tokens_details) or decode(_DETAILS, usage.input_tokens_details)
    outputs = decode(_DETAILS, usage.completion_tokens_details) or decode(_DETAILS, usage.output_tokens_details)
    inputs, outputs = inputs or _Details(), outputs or _Details()
    counts = {
        "input_tokens": _first(usage.prompt_tokens, usage.input_tokens),
        "output_tokens": _first(usage.completion_tokens, usage.output_tokens),
        "cache_read_tokens": _first(inputs.cached_tokens, usage.prompt_cache_hit_tokens),
        "cache_write_tokens": count_of(inputs.cache_write_tokens),
        "reasoning_tokens": count_of(outputs.reasoning_tokens),
        "cost_usd": amount_of(usage.cost),
    }
    for name, value in counts.items():
        if value is not None:
            setattr(reading, name, value)
    reading.is_settled = reading.is_settled or reading.finish_reason is not None


def _first(*values: object) -> int | None:
    return next((count for value in values if (count := count_of(value)) is not None), None)


SHAPE: Final = Shape(
    provider="openai",
    is_wanted=is_wanted,
    read=read,
    content=re.compile(
        rb'"(?:content|text|reasoning|reasoning_content|refusal|arguments)"\s*:\s*"[^"]|"response\.[a-z_.]+\.delta"'
        rb'|"tool_calls"\s*:\s*\[\s*\{'
    ),
    members=(b"usage", b"model", b"error", b"object", b"status", b"incomplete_details"),
    reasons=(b"finish_reason",),
)
