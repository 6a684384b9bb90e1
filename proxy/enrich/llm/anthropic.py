"""Anthropic: messages, plain and streamed.

The counts of a stream are cumulative: `message_start` has the input's, each `message_delta` those so far, perhaps with
the input's again. They replace, they are never added up. `input_tokens` counts only what was read from no cache; ours
counts all of the input.

Where the server sampled more than once for one message, `iterations` has the counts of each time and the others not all
of them: what a compaction took and what an advisor was asked is only there. Each is billed at the price of its model,
but for an attempt that declined before it said anything.
"""

import re
from typing import Any, Final

import msgspec

from proxy.enrich.formats.json_parts import count_of, decode, decode_array, decode_object, is_object, sum_of, text_of
from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.llm.call import OTHER_MODELS, CallUsage, Provider, charged

_RAW: Final = msgspec.Raw()
_MAX_OTHERS: Final = 8
"""Other models that are counted separately; the cost of more than these is unknown."""
_WANTED: Final = compile_bytes(rb'"message_start"|"message_delta"|"message_stop"|"error"|"(?:mcp_)?tool_use"')


class _Document(msgspec.Struct, gc=False):
    type: Any = None
    model: Any = None
    stop_reason: Any = None
    message: msgspec.Raw = _RAW
    delta: msgspec.Raw = _RAW
    usage: msgspec.Raw = _RAW
    error: msgspec.Raw = _RAW
    content: msgspec.Raw = _RAW
    content_block: msgspec.Raw = _RAW


class _Counts(msgspec.Struct, gc=False):
    input_tokens: Any = None
    output_tokens: Any = None
    cache_creation_input_tokens: Any = None
    cache_read_input_tokens: Any = None
    service_tier: Any = None
    speed: Any = None
    inference_geo: Any = None
    cost: Any = None  # OpenRouter
    cost_details: Any = None
    is_byok: Any = None
    output_tokens_details: msgspec.Raw = _RAW
    cache_creation: msgspec.Raw = _RAW
    server_tool_use: msgspec.Raw = _RAW
    iterations: msgspec.Raw = _RAW
    # Of one of the iterations
    type: Any = None
    model: Any = None


class _Details(msgspec.Struct, gc=False):
    """Parts of the counts: of the output, of what was written to the cache, of what the server's tools did."""

    thinking_tokens: Any = None
    ephemeral_1h_input_tokens: Any = None
    web_search_requests: Any = None


class _Block(msgspec.Struct, gc=False):
    type: Any = None
    name: Any = None


_DOCUMENT: Final = msgspec.json.Decoder(_Document)
_COUNTS: Final = msgspec.json.Decoder(_Counts)
_ITERATIONS: Final = msgspec.json.Decoder(list[_Counts])
_DETAILS: Final = msgspec.json.Decoder(_Details)
_BLOCK: Final = msgspec.json.Decoder(_Block)
_BLOCKS: Final = msgspec.json.Decoder(list[_Block])


def read(usage: CallUsage, data: bytes) -> None:
    document = decode(_DOCUMENT, data)
    if document is None:
        return
    if document.type == "message_stop":
        _read_message(usage, document)  # on Bedrock it has counts
        usage.is_finished = True
    elif document.type == "error" or is_object(document.error):
        error = decode_object(_DOCUMENT, document.error)
        usage.fail(error and error.type)
    else:
        _read_message(usage, document)
        for inner in (document.message, document.delta):
            if (found := decode_object(_DOCUMENT, inner)) is not None:
                _read_message(usage, found)
        if is_object(document.message):
            usage.output_tokens = None  # a stream begins with a number that only stands for one
        if is_object(document.usage) and usage.finish_reason is not None:
            usage.is_settled = True
        if (block := decode_object(_BLOCK, document.content_block)) is not None:
            _add_tools(usage, [block])
        _add_tools(usage, decode_array(_BLOCKS, document.content))


def _add_tools(usage: CallUsage, blocks: list[_Block]) -> None:
    usage.add_tools(block.name for block in blocks if block.type in ("tool_use", "mcp_tool_use"))


def _read_message(usage: CallUsage, message: _Document) -> None:
    usage.set_resolved_model(message.model)
    usage.finish_reason = text_of(message.stop_reason) or usage.finish_reason
    counts = decode_object(_COUNTS, message.usage)
    if counts is None:
        return
    details, server = _details(counts.output_tokens_details), _details(counts.server_tool_use)
    usage.measure(web_searches=server.web_search_requests)
    usage.update(
        reasoning_tokens=count_of(details.thinking_tokens),
        cost_usd=charged(counts.cost, counts.cost_details, is_own_key=counts.is_byok is True),
    )
    tier, speed, place = text_of(counts.service_tier), text_of(counts.speed), text_of(counts.inference_geo)
    usage.service_tier = (speed if speed == "fast" else tier) or usage.service_tier
    usage.region = usage.region if place in (None, "global", "not_available") else place
    if iterations := decode_array(_ITERATIONS, counts.iterations):
        _read_iterations(usage, iterations)
    else:
        _add_up(usage, [counts])


def _read_iterations(usage: CallUsage, iterations: list[_Counts]) -> None:
    served = next((text_of(each.model) for each in iterations if each.type == "fallback_message"), None)
    own: list[_Counts] = []
    others: dict[str | None, list[_Counts]] = {}
    for each in iterations:
        model = text_of(each.model)
        if each.type == "compaction" or (each.type != "advisor_message" and (served is None or served == model)):
            own.append(each)
        elif count_of(each.output_tokens):
            model = model or usage.model
            others.setdefault(model if model in others or len(others) < _MAX_OTHERS else None, []).append(each)
    usage.others = [_other(usage, model, parts) for model, parts in others.items()]
    if own:
        usage.requests = len(own)
        _add_up(usage, own)
    given, output = OTHER_MODELS
    usage.measure(
        **{given: sum(other.input_tokens or 0 for other in usage.others)},
        **{output: sum(other.output_tokens or 0 for other in usage.others)},
    )


def _other(usage: CallUsage, model: str | None, parts: list[_Counts]) -> CallUsage:
    other = CallUsage(model=model, service_tier=usage.service_tier, region=usage.region, requests=len(parts))
    _add_up(other, parts)
    return other


def _add_up(usage: CallUsage, parts: list[_Counts]) -> None:
    """Note the counts of the parts of one message together; what none of them has stays as it was."""
    usage.update(
        uncached_tokens=sum_of(part.input_tokens for part in parts),
        output_tokens=sum_of(part.output_tokens for part in parts),
        cache_write_tokens=sum_of(part.cache_creation_input_tokens for part in parts),
        cache_read_tokens=sum_of(part.cache_read_input_tokens for part in parts),
    )
    usage.measure(
        cache_write_1h_tokens=sum_of(_details(part.cache_creation).ephemeral_1h_input_tokens for part in parts)
    )
    if usage.uncached_tokens is not None:
        usage.input_tokens = usage.uncached_tokens + (usage.cache_write_tokens or 0) + (usage.cache_read_tokens or 0)


def _details(raw: msgspec.Raw) -> _Details:
    return decode_object(_DETAILS, raw) or _Details()


PROVIDER: Final = Provider(
    name="anthropic",
    wanted=_WANTED,
    read=read,
    content=re.compile(rb'"content_block_delta"|"content_block_start"[^\n]*"tool_use"'),
    members=frozenset((b"usage", b"model", b"error", b"type", b"stop_reason", b"message", b"delta")),
    reason=b"stop_reason",
)
