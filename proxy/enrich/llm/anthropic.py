"""Anthropic: messages, plain and streamed.

The counts of a stream are cumulative: `message_start` has the input tokens, and each
`message_delta` the counts so far, sometimes with the input tokens again. Each count replaces the
previous one; they are never added up. `input_tokens` excludes input that was read from or written
to a cache; ours includes it.

If the server sampled more than once for a message, `iterations` has the counts of each round. The
counts of a compaction or an advisor appear only there. Each round is billed at the price of its
model, except an attempt that declined before any output.
"""

import re
from typing import Any, Final

import msgspec

from proxy.enrich.facts import MAX_TOOLS, CallUsage
from proxy.enrich.formats.json_parts import (
    count_of,
    is_object,
    members_of,
    object_in,
    objects_in,
    part_of,
    sum_of,
    text_of,
    value_at,
    value_in,
)
from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.llm.provider import Provider, openrouter_cost

_RAW: Final = msgspec.Raw()
_MAX_OTHERS: Final = 8
"""Other models that are counted separately; the cost of more than these is unknown."""
_VERTEX: Final = re.compile(
    r"/locations/([a-z0-9-]{1,32})/publishers/anthropic/models/([^/:]{1,256}):"
)
_ONE_PRICE: Final = re.compile(
    r"claude-(?:instant|[0-3](?!\d)|(?:opus|sonnet|haiku)-[34](?:-[01])?(?:@|-\d{8}|-v\d|\Z))"
)
"""Models before Sonnet 4.5. They cost the same in every region."""
_ANYWHERE: Final = "global"
_WANTED: Final = compile_bytes(
    rb'"message_start"|"message_delta"|"message_stop"|"error"|"(?:mcp_|server_)?tool_use"|tool_result"'
)


def read(usage: CallUsage, data: bytes) -> None:
    document = members_of(data)
    kind = value_in(document, "type")
    error = object_in(document, "error")

    if kind == "message_stop":
        # Bedrock reports counts here.
        _read_message(usage, document)
        usage.is_finished = True
    elif kind == "error" or error is not None:
        usage.fail(error and error.get("type"))
    elif document:
        _read_message(usage, document)
        for name in ("message", "delta"):
            _read_message(usage, members_of(document.get(name)))
        if is_object(document.get("message", _RAW)):
            # The output of `message_start` is a placeholder.
            usage.output_tokens = None
        if is_object(document.get("usage", _RAW)) and usage.finish_reason is not None:
            usage.is_settled = True
        _add_tools(
            usage, [members_of(document.get("content_block")), *objects_in(document, "content")]
        )


def region_of(path: str) -> str | None:
    """Return the region of a Vertex call if it has its own price, a tenth above the global one.

    <https://platform.claude.com/docs/en/about-claude/pricing#third-party-platform-pricing>
    """
    found = _VERTEX.search(path)
    if found is None or found[1] == _ANYWHERE or _ONE_PRICE.match(found[2]):
        return None
    return found[1]


def _add_tools(usage: CallUsage, blocks: list[dict[str, msgspec.Raw]]) -> None:
    kinds = ("tool_use", "mcp_tool_use")
    usage.add_tools(value_in(block, "name") for block in blocks if value_in(block, "type") in kinds)
    for block in blocks:
        kind = text_of(value_in(block, "type")) or ""
        call_id = text_of(value_in(block, "id"))
        name = text_of(value_in(block, "name"))
        if call_id and name and len(usage.tool_names) < MAX_TOOLS:
            usage.tool_names[call_id] = name
        if kind.endswith("tool_result") and _has_failed(block):
            usage.add_failed_tool(value_in(block, "tool_use_id"), None)


def _has_failed(result: dict[str, msgspec.Raw]) -> bool:
    """Return True if a tool of the provider or of an MCP server failed.

    The result of a failed tool has `is_error`, or a content type such as
    `web_search_tool_result_error`.
    """
    inner = text_of(value_at(result.get("content", _RAW), "type")) or ""
    return value_in(result, "is_error") is True or inner.endswith("_error")


def _read_message(usage: CallUsage, message: dict[str, msgspec.Raw]) -> None:
    usage.set_texts(
        resolved_model=value_in(message, "model"), finish_reason=value_in(message, "stop_reason")
    )
    counts = object_in(message, "usage")
    if counts is None:
        return

    usage.measure(web_searches=part_of(counts, "server_tool_use").get("web_search_requests"))
    usage.update(
        reasoning_tokens=count_of(part_of(counts, "output_tokens_details").get("thinking_tokens")),
        cost_usd=openrouter_cost(counts),
    )
    speed = counts.get("speed")
    usage.set_texts(service_tier=speed if speed == "fast" else counts.get("service_tier"))
    place = counts.get("inference_geo")
    if place not in (_ANYWHERE, "not_available"):
        usage.set_texts(region=place)

    iterations = counts.get("iterations")
    if (
        isinstance(iterations, list)
        and iterations
        and all(isinstance(each, dict) for each in iterations)
    ):
        _read_iterations(usage, iterations)
    else:
        _add_up(usage, [counts])


def _read_iterations(usage: CallUsage, iterations: list[dict[str, Any]]) -> None:
    """Add up the iterations of the model that answered, and those of each other model."""
    served = next(
        (
            text_of(each.get("model"))
            for each in iterations
            if each.get("type") == "fallback_message"
        ),
        None,
    )
    own: list[dict[str, Any]] = []
    others: dict[str | None, list[dict[str, Any]]] = {}

    for each in iterations:
        model = text_of(each.get("model"))
        kind = each.get("type")
        is_answer = kind != "advisor_message" and served in (None, model)
        if is_answer or kind == "compaction":
            own.append(each)
        elif count_of(each.get("output_tokens")):
            model = model or usage.model
            if model not in others and len(others) >= _MAX_OTHERS:
                model = None
            others.setdefault(model, []).append(each)

    usage.others = [_other(usage, model, parts) for model, parts in others.items()]
    if own:
        usage.requests = len(own)
        _add_up(usage, own)
    usage.measure(
        other_models_input_tokens=sum_of(other.input_tokens for other in usage.others),
        other_models_output_tokens=sum_of(other.output_tokens for other in usage.others),
    )


def _other(usage: CallUsage, model: str | None, parts: list[dict[str, Any]]) -> CallUsage:
    other = CallUsage(
        model=model, service_tier=usage.service_tier, region=usage.region, requests=len(parts)
    )
    _add_up(other, parts)
    return other


def _add_up(usage: CallUsage, parts: list[dict[str, Any]]) -> None:
    """Set the sums of the counts of several parts; a count that no part has stays as it was."""
    usage.update(
        uncached_tokens=sum_of(part.get("input_tokens") for part in parts),
        output_tokens=sum_of(part.get("output_tokens") for part in parts),
        cache_write_tokens=sum_of(part.get("cache_creation_input_tokens") for part in parts),
        cache_read_tokens=sum_of(part.get("cache_read_input_tokens") for part in parts),
    )
    long_kept = (part_of(part, "cache_creation").get("ephemeral_1h_input_tokens") for part in parts)
    usage.measure(cache_write_1h_tokens=sum_of(long_kept))

    if usage.uncached_tokens is not None:
        usage.input_tokens = (
            usage.uncached_tokens + (usage.cache_write_tokens or 0) + (usage.cache_read_tokens or 0)
        )


PROVIDER: Final = Provider(
    name="anthropic",
    wanted=_WANTED,
    read=read,
    content=compile_bytes(rb'"content_block_delta"|"content_block_start"[^\n]*"tool_use"'),
    members=frozenset(
        (b"usage", b"model", b"error", b"type", b"stop_reason", b"message", b"delta")
    ),
    reason=b"stop_reason",
    ends=("/messages", "awPredict"),
    paths=r"/messages|/publishers/anthropic/models/(?!count-tokens:)[^/:]+:(?:streamR|r)awPredict",
    own_paths=r"/v\d+/messages$|awPredict$",
    request_members={"messages": (b"max_tokens", b"anthropic_version")},
    response_members=(b'"stop_reason"', b'"message_start"', b'"error"'),
    region_of=region_of,
)
