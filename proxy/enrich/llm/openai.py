"""The OpenAI API and its copies: chat completions, completions, responses, embeddings, images,
audio.

Any object called `usage` replaces the counts read before, wherever it comes: on the last chunk with
`choices: []` (OpenAI) or `choices: null` (vLLM), on every chunk (continuous usage), on the
finishing chunk (llama-server), under `x_groq` (Groq), under `response` (responses API).
"""

import math
import re
from collections import Counter
from typing import Any, Final

import msgspec

from proxy.enrich.facts import CallUsage
from proxy.enrich.formats.json_parts import (
    amount_of,
    count_of,
    decode_text,
    first_count,
    is_array,
    is_object,
    members_of,
    object_in,
    objects_in,
    part_of,
    text_of,
    value_at,
    value_in,
    values_at,
)
from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.llm.provider import Provider, openrouter_cost

_RAW: Final = msgspec.Raw()
_NAME: Final = re.compile(r"(?=.*[A-Za-z])[\w.-]+", re.ASCII)
"""A code that is a name. Some APIs send a number or a sentence instead."""
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
"""Meter by the type of an output item."""
_CONNECTORS: Final = {
    "web_search": "web_searches",
    "web_search_premium": "premium_web_searches",
    "code_interpreter": "code_interpreter_calls",
    "image_generation": "image_generations",
}
"""Meter by the name of a Mistral tool in the usage."""
_SEARCHES: Final = re.compile(r"-search-(?:preview|api)(?:-|\Z)")
"""Models that search the web once per answer. The search is billed, but not in the counts:
<https://developers.openai.com/api/docs/pricing>.
"""
_GEMINI: Final = re.compile(r"(?:google/)?gemini-")
_TICKS: Final = 10_000_000_000
"""Number of xAI's ticks in a dollar: <https://docs.x.ai/developers/cost-tracking>."""
_WANTED: Final = compile_bytes(
    rb'\[DONE\]|"error"|"usage"\s*:\s*\{|"finish_reason"\s*:\s*"|"name"|"response"'
    rb'|"conversation\.response|"(?:transcript|speech|image)[a-z_.]*"|"(?:(?:web|file|x)_search|code_interpreter)_call"'
)

Members = dict[str, msgspec.Raw]
Counts = dict[str, Any]


def read(usage: CallUsage, data: bytes) -> None:
    if data == b"[DONE]":
        usage.is_finished = True
        return
    document = members_of(data)
    if not document:
        return

    kind = value_in(document, "type")
    is_error = value_in(document, "object") == "error"
    is_end = text_of(kind) in _TERMINATORS

    if is_object(document.get("response", _RAW)):
        if inner := members_of(document["response"]):
            _read_object(usage, inner)
            # Without a type this is the last event with its beginning cut off: no other event has
            # counts.
            usage.is_finished |= is_end or (kind is None and is_object(inner.get("usage", _RAW)))
        return

    _read_object(usage, document)
    # The last event of a streamed image is cut: its data exceed the captured window.
    is_image = (
        kind is None
        and value_in(document, "output_format") is not None
        and value_in(document, "object") is None
    )
    usage.is_finished |= is_end or (is_image and is_object(document.get("usage", _RAW)))

    if item := members_of(document.get("item")):
        _add_tools(usage, [item])
        if kind == "response.output_item.done":
            _add_failed_tools(usage, [item])
            usage.measure(**{name: usage.meters.get(name, 0) + 1 for name in _paid_by([item])})

    # A conversation of Mistral.
    if kind in ("function.call", "function.call.delta"):
        usage.add_tools([value_in(document, "name")])
    if kind in ("error", "conversation.response.error") or is_error:
        # The responses API and Mistral send the error as the document itself.
        usage.fail(usage.error_type, kind if is_error else None, value_in(document, "code"))


def _read_object(usage: CallUsage, document: Members) -> None:
    usage.set_texts(
        resolved_model=value_in(document, "model"), service_tier=value_in(document, "service_tier")
    )
    if value_in(document, "object") == "response":
        usage.set_texts(response_id=value_in(document, "id"))
    if (error := object_in(document, "error")) is not None:
        usage.fail(*error_names(error.get("type"), error.get("code")))
    elif bytes(document.get("error", _RAW))[:1] == b'"':
        usage.fail(value_in(document, "code"))

    _read_reason(usage, document)
    if is_array(document.get("output", _RAW)):
        items = objects_in(document, "output")
        _add_tools(usage, items)
        usage.failed_tools = []
        _add_failed_tools(usage, items)
        usage.meters = {
            name: count for name, count in usage.meters.items() if name not in _METERS.values()
        }
        usage.measure(**_paid_by(items))

    _read_tool_usage(usage, document)
    _add_tools(usage, objects_in(document, "outputs"))
    _read_counts(usage, object_in(document, "usage"))
    _read_counts(usage, object_in(document, "usage_info"))
    inner = members_of(document.get("x_groq"))
    _read_counts(usage, object_in(inner, "usage"))
    # Groq reports here the reason for an early end of a stream.
    if bytes(inner.get("error", _RAW))[:1] == b'"':
        usage.fail(_code_in(inner["error"]))


def _code_in(error: msgspec.Raw) -> str | None:
    text = decode_text(bytes(error))
    if text is not None and _NAME.fullmatch(text):
        return text
    return None


def error_names(kind: object, code: object) -> tuple[object, ...]:
    """Return the names of an error, the most specific first.

    A context that is too long, a wrong key and a missing model all have the type
    `invalid_request_error`, and exceeding a rate limit has the type `tokens`. Only the code
    distinguishes them.
    """
    if isinstance(code, str) and _NAME.fullmatch(code):
        return (code, kind)
    return (kind, code)


def _read_reason(usage: CallUsage, document: Members) -> None:
    details = object_in(document, "incomplete_details")
    if details is not None:
        usage.set_texts(finish_reason=details.get("reason"))
    elif value_in(document, "object") == "response":
        status = value_in(document, "status")
        if status in ("completed", "failed", "cancelled"):
            usage.set_texts(finish_reason=status)
    else:
        _read_choices(usage, document)


def _read_choices(usage: CallUsage, document: Members) -> None:
    """Read the errors, counts and tools of all choices, and the first finish reason."""
    reason = None
    for choice in objects_in(document, "choices"):
        reason = reason or text_of(value_in(choice, "finish_reason"))
        # OpenRouter reports errors here, under status 200.
        if (error := object_in(choice, "error")) is not None:
            usage.fail(*error_names(error.get("type"), error.get("code")))
        # The last chunk of Moonshot's streams has its counts here.
        _read_counts(usage, object_in(choice, "usage"))

        for raw in (choice.get("message", _RAW), choice.get("delta", _RAW)):
            if b'"name"' not in bytes(raw):
                continue
            message = members_of(raw)
            for call in objects_in(message, "tool_calls"):
                usage.add_tools(
                    name
                    for kind in ("function", "custom")
                    for name in values_at(call.get(kind, _RAW), "name")
                )

            usage.add_tools(values_at(message.get("function_call", _RAW), "name"))

    usage.set_texts(finish_reason=reason)


def _add_tools(usage: CallUsage, items: list[Members]) -> None:
    kinds = ("function_call", "custom_tool_call", "mcp_call", "function.call")
    usage.add_tools(value_in(item, "name") for item in items if value_in(item, "type") in kinds)


def _add_failed_tools(usage: CallUsage, items: list[Members]) -> None:
    """Count the MCP calls that the provider made and that failed."""
    for item in items:
        has_failed = value_in(item, "error") is not None or value_in(item, "status") == "failed"
        if has_failed and value_in(item, "type") == "mcp_call":
            usage.add_failed_tool(None, value_in(item, "name"), value_in(item, "error"))


def _read_tool_usage(usage: CallUsage, document: Members) -> None:
    """Use the reported number of billed searches, if any: several items may be one search."""
    searches = count_of(value_at(document.get("tool_usage", _RAW), "web_search", "num_requests"))
    if searches is not None:
        usage.meters.pop("web_searches", None)
        usage.measure(web_searches=searches)


def _paid_by(items: list[Members]) -> Counter[str]:
    """Count the billed items. Opening a page or finding a text in it is not a billed search."""
    counts: Counter[str] = Counter()
    for item in items:
        meter = _METERS.get(text_of(value_in(item, "type")) or "")
        is_search = value_at(item.get("action", _RAW), "type") in (None, "search")
        if meter is not None and (is_search or meter != "web_searches"):
            counts[meter] += 1

    return counts


def _read_counts(usage: CallUsage, counts: Counts | None) -> None:
    if counts is None:
        return
    inputs = part_of(counts, "prompt_tokens_details", "input_tokens_details", "input_token_details")
    outputs = part_of(
        counts, "completion_tokens_details", "output_tokens_details", "output_token_details"
    )
    connectors = part_of(counts, "connectors")
    model = usage.resolved_model or usage.model or ""
    reasoning = count_of(outputs.get("reasoning_tokens"))
    usage.update(
        input_tokens=_input(counts),
        output_tokens=_output(counts, reasoning, model),
        cache_read_tokens=first_count(  # also of DeepSeek and Moonshot
            inputs.get("cached_tokens"),
            counts.get("prompt_cache_hit_tokens"),
            counts.get("cached_tokens"),
        ),
        cache_write_tokens=count_of(inputs.get("cache_write_tokens")),
        reasoning_tokens=reasoning,
        cost_usd=_cost(counts),
    )
    usage.measure(
        input_audio_tokens=inputs.get("audio_tokens"),
        output_audio_tokens=outputs.get("audio_tokens"),
        input_image_tokens=inputs.get("image_tokens"),
        output_image_tokens=outputs.get("image_tokens"),
        # Perplexity.
        web_searches=counts.get("num_search_queries") or int(_SEARCHES.search(model) is not None),
        search_sources=counts.get("num_sources_used"),  # xAI
        document_pages=counts.get("pages_processed"),
        audio_seconds=first_count(
            _seconds(counts.get("seconds")), counts.get("prompt_audio_seconds")
        ),
    )
    usage.measure(**{meter: connectors.get(name) for name, meter in _CONNECTORS.items()})
    usage.set_texts(service_tier=counts.get("service_tier"))
    cached = part_of(inputs, "cached_tokens_details")
    usage.measure_cached({"audio": cached.get("audio_tokens"), "image": cached.get("image_tokens")})
    usage.is_settled = usage.is_settled or usage.finish_reason is not None


def _input(counts: Counts) -> int | None:
    """Return the input tokens. If only a total is reported (Voyage's embeddings), return the total."""
    given = first_count(counts.get("prompt_tokens"), counts.get("input_tokens"))
    if given is not None:
        # Mistral counts the results of its own tools separately.
        return given + (count_of(counts.get("connector_tokens")) or 0)

    if counts.get("completion_tokens") is None and counts.get("output_tokens") is None:
        return count_of(counts.get("total_tokens"))

    return None


def _seconds(value: object) -> object:
    """Round a number of seconds up: providers bill whole seconds."""
    if isinstance(value, float) and math.isfinite(value):
        return math.ceil(value)
    return value


def _output(counts: Counts, reasoning: int | None, model: str) -> int | None:
    """Return the output tokens including reasoning. xAI's chat and Gemini include it only in the
    total.
    """
    output = count_of(counts.get("completion_tokens"))
    given = count_of(counts.get("prompt_tokens"))
    total = count_of(counts.get("total_tokens"))
    if reasoning is None and _GEMINI.match(model) and given is not None and total is not None:
        return max(total - given, output or 0)
    if output is None or given is None or not reasoning:
        return first_count(counts.get("completion_tokens"), counts.get("output_tokens"))
    if total == given + output + reasoning:
        return output + reasoning

    return output


def _cost(counts: Counts) -> float | None:
    """Return the cost in dollars: xAI's ticks, OpenRouter's amount, or the sum of Perplexity's
    amounts.
    """
    if (ticks := amount_of(counts.get("cost_in_usd_ticks"))) is not None:
        return ticks / _TICKS
    value = counts.get("cost")
    if isinstance(value, dict):
        return amount_of(value.get("total_cost"))
    return openrouter_cost(counts)


_MEMBERS: Final = frozenset(
    (b"usage", b"model", b"error", b"object", b"type", b"status", b"incomplete_details", b"service_tier", b"choices",
     b"response", b"output_format", b"usage_info", b"tool_usage")
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
    ends=(
        "/completions", "/responses", "/responses/compact", "/embeddings", "/generations", "/edits", "/variations",
        "/speech", "/transcriptions", "/translations", "/moderations", "awPredict", "/ocr", "/conversations",
        "/restart", "/decisions",
    ),
    paths=r"/(?:(?:chat/|fim/|agents/)?completions|responses(?:/compact)?|embeddings|moderations"
    r"|images/(?:generations|edits|variations)|audio/(?:speech|transcriptions|translations)"
    r"|decisions|ocr|conversations|conversations/[^/]+(?:/restart)?"
    r"|publishers/mistralai/models/[^/:]+:(?:streamR|r)awPredict)",
    own_paths=r"/(?:chat|fim)/completions$|/responses/compact$|/openai/|/codex/responses$"
    r"|/v1/(?:completions|responses|embeddings|moderations|images/\w+|audio/\w+)$",
    request_members={
        "completions": (b"prompt", b"messages"),
        "responses": (b"input", b"previous_response_id", b"conversation", b"instructions"),
        "embeddings": (b"input",),
        "moderations": (b"input",),
        "ocr": (b"document",),
        "decisions": (b"questions",),
        "conversations": (b"inputs",),
    },
    response_members=(
        b'"choices"', b'"usage"', b'"object"', b'"output"', b'"data"', b'"error"', b'"results"', b'"response.',
    ),
    response_members_at={
        "conversations": (b'"conversation.response',),
        "ocr": (b'"usage_info"',),
        "decisions": (b'"answers"',),
    },
)  # fmt: skip
