"""Gemini interactions: a document of steps, or a stream with events for each step.

The last event, `interaction.completed`, has the counts and the status. The output excludes
thoughts, and the input excludes the results of tools; ours include both. A background interaction
is a job: see `proxy.enrich.jobs`.
"""

import re
from typing import Any, Final

import msgspec

from proxy.enrich.facts import CallUsage
from proxy.enrich.formats.json_parts import (
    count_of,
    members_of,
    object_in,
    objects_among,
    objects_in,
    sum_of,
    value_in,
)
from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.llm import gemini
from proxy.enrich.llm.provider import Provider

_UNDER_WAY: Final = ("in_progress", "queued")
_TOOLS: Final = ("function_call", "mcp_server_tool_call")
_FAILED: Final = "failed"


def read(usage: CallUsage, data: bytes) -> None:
    if data == b"[DONE]":
        usage.is_finished = True
        return
    document = members_of(data)
    _read_interaction(usage, members_of(document.get("interaction")) or document)
    _add_tools(usage, [members_of(document.get("step"))])
    if value_in(document, "event_type") == "interaction.completed":
        usage.is_finished = True
        usage.is_settled |= usage.has_usage


def _read_interaction(usage: CallUsage, found: dict[str, msgspec.Raw]) -> None:
    usage.set_texts(
        resolved_model=value_in(found, "model") or value_in(found, "agent"),
        response_id=value_in(found, "id"),
        service_tier=value_in(found, "service_tier"),
    )
    status = value_in(found, "status")
    if status not in _UNDER_WAY:
        usage.set_texts(finish_reason=status)

    errors = objects_among([value_in(found, "error")]) or objects_among(value_in(found, "errors"))
    if errors or status == _FAILED:
        first = errors[0] if errors else {}
        usage.fail(first.get("status"), first.get("code"), status)

    _add_tools(usage, objects_in(found, "steps"))
    if (counts := object_in(found, "usage")) is not None:
        _read_counts(usage, counts)


def _add_tools(usage: CallUsage, steps: list[dict[str, msgspec.Raw]]) -> None:
    usage.add_tools(value_in(step, "name") for step in steps if value_in(step, "type") in _TOOLS)


def _read_counts(usage: CallUsage, counts: dict[str, Any]) -> None:
    thoughts = counts.get("total_thought_tokens")
    usage.update(
        input_tokens=sum_of(
            (counts.get("total_input_tokens"), counts.get("total_tool_use_tokens"))
        ),
        output_tokens=sum_of((counts.get("total_output_tokens"), thoughts)),
        reasoning_tokens=count_of(thoughts),
        cache_read_tokens=count_of(counts.get("total_cached_tokens")),
    )
    gemini.measure_kinds(
        usage,
        counts.get("input_tokens_by_modality"),
        counts.get("output_tokens_by_modality"),
        counts.get("cached_tokens_by_modality"),
    )
    for tool in objects_among(counts.get("grounding_tool_count")):
        if tool.get("type") == "google_search":
            gemini.measure_searches(usage, count_of(tool.get("count")) or 0)


_MEMBERS: Final = frozenset(
    (b"id", b"model", b"agent", b"status", b"service_tier", b"event_type", b"usage", b"error", b"errors",
     b"interaction")
)  # fmt: skip
PROVIDER: Final = Provider(
    name=gemini.PROVIDER.name,
    wanted=compile_bytes(
        rb'\[DONE\]|"interaction"|"usage"|"error"|"(?:function|mcp_server_tool)_call"'
    ),
    read=read,
    content=re.compile(rb'"(?:text|arguments|data)"\s*:\s*"[^"]'),
    members=_MEMBERS,
    reason=b"status",
    wrapper=b"interaction",
    request_members={"interactions": (b"input", b"previous_interaction_id")},
    response_members=gemini.PROVIDER.response_members,
    response_members_at={"interactions": (b'"interaction"', b'"total_input_tokens"', b'"error"')},
)
