"""Gemini's interactions: a document of steps, or an event for the beginning, the pieces and the end of each.

The last event, `interaction.completed`, has the counts and the status. Thoughts are counted beside what was said, and
what a tool gave beside what was asked. One that runs in the background is a job: see `proxy.enrich.jobs`.
"""

import re
from typing import Any, Final

import msgspec

from proxy.enrich.formats.json_parts import count_of, decode, decode_array, decode_object, sum_of, text_of
from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.llm import gemini
from proxy.enrich.llm.call import CallUsage, Provider

_RAW: Final = msgspec.Raw()
_UNDER_WAY: Final = ("in_progress", "queued")
_TOOLS: Final = ("function_call", "mcp_server_tool_call")
_FAILED: Final = "failed"


class _Document(msgspec.Struct, gc=False):
    """An event, or an interaction."""

    id: Any = None
    model: Any = None
    agent: Any = None
    status: Any = None
    service_tier: Any = None
    event_type: Any = None
    usage: msgspec.Raw = _RAW
    steps: msgspec.Raw = _RAW
    step: msgspec.Raw = _RAW
    error: msgspec.Raw = _RAW
    errors: msgspec.Raw = _RAW
    interaction: msgspec.Raw = _RAW


class _Counts(msgspec.Struct, gc=False):
    total_input_tokens: Any = None
    total_tool_use_tokens: Any = None
    total_output_tokens: Any = None
    total_thought_tokens: Any = None
    total_cached_tokens: Any = None
    input_tokens_by_modality: msgspec.Raw = _RAW
    output_tokens_by_modality: msgspec.Raw = _RAW
    cached_tokens_by_modality: msgspec.Raw = _RAW
    grounding_tool_count: msgspec.Raw = _RAW


class _Part(msgspec.Struct, gc=False):
    """A step, an error, or how often a tool was used."""

    type: Any = None
    name: Any = None
    code: Any = None
    status: Any = None
    count: Any = None


_DOCUMENT: Final = msgspec.json.Decoder(_Document)
_COUNTS: Final = msgspec.json.Decoder(_Counts)
_PART: Final = msgspec.json.Decoder(_Part)
_PARTS: Final = msgspec.json.Decoder(list[_Part])


def read(usage: CallUsage, data: bytes) -> None:
    if data == b"[DONE]":
        usage.is_finished = True
        return
    document = decode(_DOCUMENT, data)
    if document is None:
        return
    inner = decode_object(_DOCUMENT, document.interaction)
    _read_interaction(usage, inner or document)
    if (step := decode_object(_PART, document.step)) is not None:
        _read_steps(usage, [step])
    if document.event_type == "interaction.completed":
        usage.is_finished = True
        usage.is_settled |= usage.has_usage


def _read_interaction(usage: CallUsage, found: _Document) -> None:
    usage.set_resolved_model(found.model or found.agent)
    usage.response_id = text_of(found.id) or usage.response_id
    usage.service_tier = text_of(found.service_tier) or usage.service_tier
    if text_of(found.status) not in _UNDER_WAY:
        usage.finish_reason = text_of(found.status) or usage.finish_reason
    error = decode_object(_PART, found.error)
    errors = decode_array(_PARTS, found.errors) if error is None else [error]
    if errors or found.status == _FAILED:
        first = errors[0] if errors else _Part()
        usage.fail(first.status, first.code, found.status)
    _read_steps(usage, decode_array(_PARTS, found.steps))
    counts = decode_object(_COUNTS, found.usage)
    if counts is not None:
        _read_counts(usage, counts)


def _read_steps(usage: CallUsage, steps: list[_Part]) -> None:
    usage.add_tools(step.name for step in steps if text_of(step.type) in _TOOLS)


def _read_counts(usage: CallUsage, counts: _Counts) -> None:
    usage.update(
        input_tokens=sum_of((counts.total_input_tokens, counts.total_tool_use_tokens)),
        output_tokens=sum_of((counts.total_output_tokens, counts.total_thought_tokens)),
        reasoning_tokens=count_of(counts.total_thought_tokens),
        cache_read_tokens=count_of(counts.total_cached_tokens),
    )
    kinds = counts.input_tokens_by_modality, counts.output_tokens_by_modality, counts.cached_tokens_by_modality
    gemini.measure_kinds(usage, *kinds)
    for tool in decode_array(_PARTS, counts.grounding_tool_count):
        if tool.type == "google_search":
            gemini.measure_searches(usage, count_of(tool.count) or 0)


_MEMBERS: Final = frozenset(
    (b"id", b"model", b"agent", b"status", b"service_tier", b"event_type", b"usage", b"error", b"errors",
     b"interaction")
)  # fmt: skip
PROVIDER: Final = Provider(
    name=gemini.PROVIDER.name,
    wanted=compile_bytes(rb'\[DONE\]|"interaction"|"usage"|"error"|"(?:function|mcp_server_tool)_call"'),
    read=read,
    content=re.compile(rb'"(?:text|arguments|data)"\s*:\s*"[^"]'),
    members=_MEMBERS,
    reason=b"status",
    wrapper=b"interaction",
)
