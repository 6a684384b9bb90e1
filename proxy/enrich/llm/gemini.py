"""Gemini: generateContent and streamGenerateContent, as events or as a JSON array.

Each chunk repeats the counts so far: the last one wins, and a chunk without them erases nothing. A blocked prompt is a
success whose reason says so.
"""

import re
from typing import Any, Final

import msgspec

from proxy.enrich.formats import json_parts
from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.llm.call import KINDS, CallUsage, Provider

_RAW: Final = msgspec.Raw()
_WANTED: Final = compile_bytes(rb'"usageMetadata"|"finishReason"|"promptFeedback"|"error"|"functionCall"')
_MODEL: Final = re.compile(r"/(?:models|tunedModels|endpoints)/([^/:]{1,256}):[A-Za-z]+$|/([^/:]{1,256}):[A-Za-z]+$")
_PAID_BY_PROMPT: Final = re.compile(r"gemini-(?:live-)?[12]\b")
_TIER: Final = re.compile(rb"\r\nx-gemini-service-tier:[ \t]*(flex|priority)(?=[ \t\r]|$)", re.IGNORECASE)
_USUAL_TIERS: Final = ("on_demand", "standard", "unspecified", "traffic_type_unspecified")
_NO_MODEL: Final = re.compile(r"v\d\w*")
"""A version of the API stands where others have the model: Code Assist names it in the body."""


class _Document(msgspec.Struct, gc=False):
    model: Any = msgspec.field(default=None, name="modelVersion")
    candidates: msgspec.Raw = _RAW
    usage: msgspec.Raw = msgspec.field(default=_RAW, name="usageMetadata")
    feedback: msgspec.Raw = msgspec.field(default=_RAW, name="promptFeedback")
    error: msgspec.Raw = _RAW
    response: msgspec.Raw = _RAW


class _Counts(msgspec.Struct, gc=False, rename="camel"):
    prompt_token_count: Any = None
    candidates_token_count: Any = None
    response_token_count: Any = None  # Live
    thoughts_token_count: Any = None
    cached_content_token_count: Any = None
    tool_use_prompt_token_count: Any = None
    traffic_type: Any = None
    service_tier: Any = None
    prompt_tokens_details: msgspec.Raw = _RAW
    candidates_tokens_details: msgspec.Raw = _RAW
    response_tokens_details: msgspec.Raw = _RAW
    cache_tokens_details: msgspec.Raw = _RAW


class _Modality(msgspec.Struct, gc=False, rename="camel"):
    modality: Any = None
    token_count: Any = None
    tokens: Any = None  # of interactions


class _Part(msgspec.Struct, gc=False, rename="camel"):
    """A candidate, a feedback or an error."""

    content: msgspec.Raw = _RAW
    grounding_metadata: msgspec.Raw = _RAW

    finish_reason: Any = None
    block_reason: Any = None
    status: Any = None
    code: Any = None


_DOCUMENT: Final = msgspec.json.Decoder(_Document)
_COUNTS: Final = msgspec.json.Decoder(_Counts)
_PART: Final = msgspec.json.Decoder(_Part)
_PARTS: Final = msgspec.json.Decoder(list[_Part])
_MODALITIES: Final = msgspec.json.Decoder(list[_Modality])


def model_of(path: str) -> str | None:
    """Read the model out of a path such as `/v1beta/models/gemini-2.5-flash:generateContent`."""
    found = _MODEL.search(path)
    if found is None:
        return None
    return found[1] or (None if _NO_MODEL.fullmatch(found[2]) else found[2])


def read(usage: CallUsage, data: bytes) -> None:
    """Read a chunk or a response; an array of one error, as a refused array stream is, is that error."""
    document = json_parts.decode(_DOCUMENT, data.strip()[1:-1] if data[:1] == b"[" else data)
    if document is not None and json_parts.is_object(document.response):  # Code Assist, as the Gemini CLI uses it
        document = json_parts.decode(_DOCUMENT, document.response)
    if document is None:
        return
    usage.set_resolved_model(document.model)
    if json_parts.is_object(document.error):
        error = json_parts.decode(_PART, document.error) or _Part()
        usage.fail(error.status, error.code)
    _read_reason(usage, document)
    if (counts := json_parts.decode_object(_COUNTS, document.usage)) is not None:
        _read_counts(usage, counts)


def _read_reason(usage: CallUsage, document: _Document) -> None:
    reason = None
    if (feedback := json_parts.decode_object(_PART, document.feedback)) is not None:
        reason = json_parts.text_of(feedback.block_reason)
    for candidate in json_parts.decode_array(_PARTS, document.candidates):
        reason = json_parts.text_of(candidate.finish_reason) or reason
        if b'"functionCall"' in bytes(candidate.content):
            usage.add_tools(json_parts.values_at(candidate.content, "parts", "functionCall", "name"))
        if b'"webSearchQueries"' in bytes(candidate.grounding_metadata):
            queries = json_parts.value_at(candidate.grounding_metadata, "webSearchQueries")
            measure_searches(usage, sum(map(bool, queries)) if isinstance(queries, list) else 0)
    if reason is not None:  # there is no other terminator
        usage.finish_reason = reason
        usage.is_finished = True


def measure_searches(usage: CallUsage, queries: int) -> None:
    """Note searches of the web: up to Gemini 2.5 a prompt with any is paid for, from Gemini 3 on each of them."""
    if _PAID_BY_PROMPT.match(usage.resolved_model or usage.model or ""):
        usage.measure(grounded_prompts=min(queries, 1))
    else:
        usage.measure(web_searches=queries)


def _read_counts(usage: CallUsage, counts: _Counts) -> None:
    answer = json_parts.first_count(counts.candidates_token_count, counts.response_token_count)
    usage.update(
        input_tokens=json_parts.sum_of((counts.prompt_token_count, counts.tool_use_prompt_token_count)),
        output_tokens=json_parts.sum_of((answer, counts.thoughts_token_count)),
        reasoning_tokens=json_parts.count_of(counts.thoughts_token_count),
        cache_read_tokens=json_parts.count_of(counts.cached_content_token_count),
    )
    for tier in (json_parts.text_of(counts.traffic_type), json_parts.text_of(counts.service_tier)):
        if tier is not None and tier.lower() not in _USUAL_TIERS:
            usage.service_tier = tier
    outputs = counts.candidates_tokens_details if counts.candidates_tokens_details else counts.response_tokens_details
    measure_kinds(usage, counts.prompt_tokens_details, outputs, counts.cache_tokens_details)


def measure_kinds(usage: CallUsage, given: msgspec.Raw, output: msgspec.Raw, cached: msgspec.Raw) -> None:
    """Note how many tokens were no text, by lists of the modalities of input, output, and what came from the cache."""
    for side, raw in (("input", given), ("output", output)):
        for part in json_parts.decode_array(_MODALITIES, raw):
            if (kind := str(part.modality).lower()) in KINDS:
                usage.measure(**{f"{side}_{kind}_tokens": json_parts.first_count(part.token_count, part.tokens)})
    if json_parts.is_array(cached) and (parts := json_parts.decode(_MODALITIES, cached)) is not None:
        counts = {str(part.modality).lower(): json_parts.first_count(part.token_count, part.tokens) for part in parts}
        usage.measure_cached({**dict.fromkeys(KINDS, 0), **counts})


def _read_tier(usage: CallUsage, head: bytes) -> None:
    """Read the tier out of a response's head, where only that says it."""
    if usage.service_tier is None and (found := _TIER.search(head)) is not None:
        usage.service_tier = found[1].decode().lower()


PROVIDER: Final = Provider(
    name="gemini",
    wanted=_WANTED,
    read=read,
    content=re.compile(rb'"text"\s*:\s*"[^"]|"functionCall"|"inlineData"|"executableCode"'),
    members=frozenset((b"usageMetadata", b"modelVersion", b"promptFeedback", b"error", b"candidates", b"response")),
    reason=b"finishReason",
    choices=b"candidates",
    wrapper=b"response",
    read_head=_read_tier,
)
