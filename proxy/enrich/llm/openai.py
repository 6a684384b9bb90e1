"""OpenAI: chat completions, completions, responses, embeddings, images, audio, there and wherever the API is copied.

Any object called `usage` replaces what was read before, wherever it comes: on the last chunk with `choices: []`
(OpenAI), with `choices: null` (vLLM), on every chunk (continuous usage), on the finishing chunk (llama-server), under
`x_groq` (Groq), under `response` (responses API).
"""

import math
import re
from collections import Counter
from typing import Any, Final

import msgspec

from proxy.enrich.formats.json_parts import (
    amount_of,
    count_of,
    decode,
    decode_array,
    decode_object,
    decode_text,
    first_count,
    is_array,
    is_object,
    text_of,
    value_at,
)
from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.llm.call import CallUsage, Provider, charged

_RAW: Final = msgspec.Raw()
_NAME: Final = re.compile(r"(?=.*[A-Za-z])[\w.-]+", re.ASCII)
"""A code that names what went wrong; others write a number there, or a sentence."""
_TERMINATORS: Final = frozenset(
    ("response.completed", "response.incomplete", "response.failed", "transcript.text.done", "speech.audio.done",
     "image_generation.completed", "image_edit.completed", "transcription.done", "conversation.response.done")
)  # fmt: skip
_METERS: Final = {
    "web_search_call": "web_searches",
    "file_search_call": "file_searches",
    "image_generation_call": "image_generations",
    "code_interpreter_call": "code_interpreter_calls",
    "x_search_call": "x_searches",
}
"""What is paid by the item of a response's output."""
_CONNECTORS: Final = {
    "web_search": "web_searches",
    "web_search_premium": "premium_web_searches",
    "code_interpreter": "code_interpreter_calls",
    "image_generation": "image_generations",
}
"""Tools of Mistral's, which the usage counts."""
_SEARCHES: Final = re.compile(r"-search-(?:preview|api)(?:-|\Z)")
"""Models that search the web once for each answer, which is paid beside its tokens and counted nowhere:
<https://developers.openai.com/api/docs/pricing>."""
_GEMINI: Final = re.compile(r"(?:google/)?gemini-")
_TICKS: Final = 10_000_000_000
"""Of xAI, in a dollar: <https://docs.x.ai/developers/cost-tracking>."""


class _Document(msgspec.Struct, gc=False):
    """A chunk, an event of the responses API, or a whole response."""

    id: Any = None
    object: Any = None
    type: Any = None
    model: Any = None
    status: Any = None
    code: Any = None
    service_tier: Any = None
    output_format: Any = None
    choices: msgspec.Raw = _RAW
    output: msgspec.Raw = _RAW
    item: msgspec.Raw = _RAW
    usage: msgspec.Raw = _RAW
    error: msgspec.Raw = _RAW
    response: msgspec.Raw = _RAW
    x_groq: msgspec.Raw = _RAW
    usage_info: msgspec.Raw = _RAW
    outputs: msgspec.Raw = _RAW
    name: Any = None
    incomplete_details: msgspec.Raw = _RAW


class _Counts(msgspec.Struct, gc=False):
    prompt_tokens: Any = None
    completion_tokens: Any = None
    total_tokens: Any = None
    input_tokens: Any = None
    output_tokens: Any = None
    cost: Any = None
    cost_details: Any = None  # OpenRouter
    is_byok: Any = None
    cost_in_usd_ticks: Any = None  # xAI
    prompt_cache_hit_tokens: Any = None  # DeepSeek
    cached_tokens: Any = None  # Moonshot
    num_search_queries: Any = None  # Perplexity
    num_sources_used: Any = None  # xAI
    seconds: Any = None  # transcriptions that are paid by time
    prompt_audio_seconds: Any = None  # Mistral
    connector_tokens: Any = None
    pages_processed: Any = None
    service_tier: Any = None  # Mistral
    connectors: msgspec.Raw = _RAW
    prompt_tokens_details: msgspec.Raw = _RAW
    completion_tokens_details: msgspec.Raw = _RAW
    input_tokens_details: msgspec.Raw = _RAW
    output_tokens_details: msgspec.Raw = _RAW
    input_token_details: msgspec.Raw = _RAW
    output_token_details: msgspec.Raw = _RAW


class _Details(msgspec.Struct, gc=False):
    cached_tokens: Any = None
    cache_write_tokens: Any = None
    reasoning_tokens: Any = None
    audio_tokens: Any = None
    image_tokens: Any = None
    cached_tokens_details: msgspec.Raw = _RAW


class _Called(msgspec.Struct, gc=False):
    name: Any = None


class _ToolCall(msgspec.Struct, gc=False):
    """A tool call of a chat, or an item of a response's output."""

    type: Any = None
    name: Any = None
    function: _Called | None = None
    custom: _Called | None = None
    action: msgspec.Raw = _RAW


class _Message(msgspec.Struct, gc=False):
    tool_calls: list[_ToolCall] | None = None
    function_call: _Called | None = None


class _Choice(msgspec.Struct, gc=False):
    finish_reason: Any = None
    message: msgspec.Raw = _RAW
    delta: msgspec.Raw = _RAW
    usage: msgspec.Raw = _RAW
    """Of Moonshot's streams, in the last choice."""


_DOCUMENT: Final = msgspec.json.Decoder(_Document)
_COUNTS: Final = msgspec.json.Decoder(_Counts)
_DETAILS: Final = msgspec.json.Decoder(_Details)
_CHOICES: Final = msgspec.json.Decoder(list[_Choice])
_MESSAGE: Final = msgspec.json.Decoder(_Message)
_ANY_COUNTS: Final = msgspec.json.Decoder(dict[str, Any])
_ITEM: Final = msgspec.json.Decoder(_ToolCall)
_ITEMS: Final = msgspec.json.Decoder(list[_ToolCall])


_WANTED: Final = compile_bytes(
    rb'\[DONE\]|"error"|"usage"\s*:\s*\{|"finish_reason"\s*:\s*"|"name"|"response"'
    rb'|"conversation\.response|"(?:transcript|speech|image)[a-z_.]*"|"(?:(?:web|file|x)_search|code_interpreter)_call"'
)


def read(usage: CallUsage, data: bytes) -> None:
    if data == b"[DONE]":
        usage.is_finished = True
        return
    document = decode(_DOCUMENT, data)
    if document is None:
        return
    is_end = text_of(document.type) in _TERMINATORS
    if is_object(document.response):
        inner = decode(_DOCUMENT, document.response)
        if inner is not None:
            _read_object(usage, inner)
            # Without a type it is the end of an event whose beginning was cut off: only the last has counts.
            usage.is_finished |= is_end or (document.type is None and is_object(inner.usage))
        return
    _read_object(usage, document)
    # Of an image that is streamed the last event is cut before its data, which are longer than what is kept.
    is_image = document.type is None and document.output_format is not None and document.object is None
    usage.is_finished |= is_end or (is_image and is_object(document.usage))
    if (item := decode_object(_ITEM, document.item)) is not None:
        _add_tools(usage, [item])
        if document.type == "response.output_item.done":
            usage.measure(**{name: usage.meters.get(name, 0) + 1 for name in _paid_by([item])})
    if document.type in ("function.call", "function.call.delta"):  # of a conversation of Mistral's
        usage.add_tools([document.name])
    if document.type in ("error", "conversation.response.error") or document.object == "error":
        # The responses API and Mistral send an error as the document itself.
        usage.fail(usage.error_type, document.type if document.object == "error" else None, document.code)


def _read_object(usage: CallUsage, document: _Document) -> None:
    usage.set_resolved_model(document.model)
    if document.object == "response":
        usage.response_id = text_of(document.id) or usage.response_id
    usage.service_tier = text_of(document.service_tier) or usage.service_tier
    if is_object(document.error):
        usage.fail(*error_names(value_at(document.error, "type"), value_at(document.error, "code")))
    elif bytes(document.error)[:1] == b'"':
        usage.fail(document.code)
    usage.finish_reason = _finish_reason(usage, document) or usage.finish_reason
    if is_array(document.output):
        items = decode(_ITEMS, document.output) or []
        _add_tools(usage, items)
        usage.meters = {name: count for name, count in usage.meters.items() if name not in _METERS.values()}
        usage.measure(**_paid_by(items))
    _add_tools(usage, decode_array(_ITEMS, document.outputs))
    _read_counts(usage, document.usage)
    _read_counts(usage, document.usage_info)
    if (inner := decode_object(_DOCUMENT, document.x_groq)) is not None:
        _read_counts(usage, inner.usage)
        if bytes(inner.error)[:1] == b'"':  # why it stopped early
            usage.fail(_code_in(inner.error))


def _code_in(error: msgspec.Raw) -> str | None:
    text = decode_text(bytes(error))
    return text if text is not None and _NAME.fullmatch(text) else None


def error_names(kind: object, code: object) -> tuple[object, ...]:
    """Return the names of an error, the most specific first.

    A context that is too long, a wrong key and a missing model all have the type `invalid_request_error`, and a refusal
    for its rate has the type `tokens`: only the code distinguishes them.
    """
    return (code, kind) if isinstance(code, str) and _NAME.fullmatch(code) else (kind, code)


def _finish_reason(usage: CallUsage, document: _Document) -> str | None:
    if document.object == "response" or is_object(document.incomplete_details):
        if is_object(document.incomplete_details):
            return text_of(value_at(document.incomplete_details, "reason"))
        return text_of(document.status) if document.status in ("completed", "failed", "cancelled") else None
    reason = None
    for choice in decode_array(_CHOICES, document.choices):
        reason = reason or text_of(choice.finish_reason)
        _read_counts(usage, choice.usage)
        for raw in (choice.message, choice.delta):
            if b'"name"' in bytes(raw) and (message := decode_object(_MESSAGE, raw)) is not None:
                called = [call.function or call.custom for call in message.tool_calls or ()]
                usage.add_tools(call and call.name for call in (*called, message.function_call))
    return reason


def _add_tools(usage: CallUsage, items: list[_ToolCall]) -> None:
    kinds = ("function_call", "custom_tool_call", "mcp_call", "function.call")
    usage.add_tools(item.name for item in items if item.type in kinds)


def _paid_by(items: list[_ToolCall]) -> Counter[str]:
    """Count what is paid by the item; a page that is opened, or searched in, is no search."""
    counts: Counter[str] = Counter()
    for item in items:
        meter = _METERS.get(item.type) if isinstance(item.type, str) else None
        is_search = value_at(item.action, "type") in (None, "search")
        if meter is not None and (is_search or meter != "web_searches"):
            counts[meter] += 1
    return counts


def _read_counts(usage: CallUsage, raw: msgspec.Raw) -> None:
    counts = decode_object(_COUNTS, raw)
    if counts is None:
        return
    inputs = _details(counts.prompt_tokens_details, counts.input_tokens_details, counts.input_token_details)
    outputs = _details(counts.completion_tokens_details, counts.output_tokens_details, counts.output_token_details)
    connectors = decode_object(_ANY_COUNTS, counts.connectors) or {}
    usage.update(
        input_tokens=_input(counts),
        output_tokens=_output(counts, count_of(outputs.reasoning_tokens), usage.resolved_model or usage.model or ""),
        cache_read_tokens=first_count(inputs.cached_tokens, counts.prompt_cache_hit_tokens, counts.cached_tokens),
        cache_write_tokens=count_of(inputs.cache_write_tokens),
        reasoning_tokens=count_of(outputs.reasoning_tokens),
        cost_usd=_cost(counts),
    )
    usage.measure(
        input_audio_tokens=inputs.audio_tokens,
        output_audio_tokens=outputs.audio_tokens,
        input_image_tokens=inputs.image_tokens,
        output_image_tokens=outputs.image_tokens,
        web_searches=counts.num_search_queries
        or int(_SEARCHES.search(usage.resolved_model or usage.model or "") is not None),
        search_sources=counts.num_sources_used,
        document_pages=counts.pages_processed,
        audio_seconds=first_count(_seconds(counts.seconds), counts.prompt_audio_seconds),
    )
    usage.measure(**{meter: connectors.get(name) for name, meter in _CONNECTORS.items()})
    usage.service_tier = text_of(counts.service_tier) or usage.service_tier
    cached = _details(inputs.cached_tokens_details)
    usage.measure_cached({"audio": cached.audio_tokens, "image": cached.image_tokens})
    usage.is_settled = usage.is_settled or usage.finish_reason is not None


def _input(counts: _Counts) -> int | None:
    """Where only a total is reported, as for embeddings by Voyage, all of it is input."""
    given = first_count(counts.prompt_tokens, counts.input_tokens)
    if given is not None and (connected := count_of(counts.connector_tokens)):
        return given + connected  # what Mistral's own tools found
    is_all = given is None and counts.completion_tokens is None and counts.output_tokens is None
    return count_of(counts.total_tokens) if is_all else given


def _seconds(value: object) -> object:
    """A part of a second is paid as a whole one."""
    return math.ceil(value) if isinstance(value, float) and math.isfinite(value) else value


def _output(counts: _Counts, reasoning: int | None, model: str) -> int | None:
    """Count reasoning in: xAI's chat counts it beside its output, Google's nowhere, and only the total shows it."""
    output, given, total = map(count_of, (counts.completion_tokens, counts.prompt_tokens, counts.total_tokens))
    if reasoning is None and _GEMINI.match(model) and given is not None and total is not None:
        return max(total - given, output or 0)
    if output is None or given is None or not reasoning:
        return first_count(counts.completion_tokens, counts.output_tokens)
    return output + reasoning if total == given + output + reasoning else output


def _details(*members: msgspec.Raw) -> _Details:
    return next((found for raw in members if (found := decode_object(_DETAILS, raw))), _Details())


def _cost(counts: _Counts) -> float | None:
    """xAI's ticks, OpenRouter's amount, or Perplexity's object of amounts."""
    if (ticks := amount_of(counts.cost_in_usd_ticks)) is not None:
        return ticks / _TICKS
    value = counts.cost
    if isinstance(value, dict):
        return amount_of(value.get("total_cost"))
    return charged(value, counts.cost_details, is_own_key=counts.is_byok is True)


_MEMBERS: Final = frozenset(
    (b"usage", b"model", b"error", b"object", b"type", b"status", b"incomplete_details", b"service_tier", b"choices",
     b"response", b"output_format", b"usage_info")
)  # fmt: skip
PROVIDER: Final = Provider(
    name="openai",
    wanted=_WANTED,
    read=read,
    content=re.compile(
        rb'"(?:content|text|reasoning|reasoning_content|refusal|arguments)"\s*:\s*"[^"]|"response\.[a-z_.]+\.delta"'
        rb'|"tool_calls"\s*:\s*\[\s*\{'
    ),
    members=_MEMBERS,
    reason=b"finish_reason",
    choices=b"choices",
    wrapper=b"response",
)
