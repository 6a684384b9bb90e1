"""Gemini: generateContent and streamGenerateContent, as events or as a JSON array.

Each chunk repeats the counts so far: the last ones win, and a chunk without counts changes nothing.
A blocked prompt has a status of success, and a reason.
"""

import re
from typing import Any, Final

import msgspec

from proxy.enrich.facts import KINDS, CallUsage
from proxy.enrich.formats.json_parts import (
    count_of,
    first_count,
    members_of,
    object_in,
    objects_among,
    objects_in,
    sum_of,
    text_of,
    value_at,
    value_in,
    values_at,
)
from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.llm.provider import Provider

_RAW: Final = msgspec.Raw()
_WANTED: Final = compile_bytes(
    rb'"usageMetadata"|"finishReason"|"promptFeedback"|"error"|"functionCall"'
)
_MODEL: Final = re.compile(
    r"/(?:models|tunedModels|endpoints)/([^/:]{1,256}):[A-Za-z]+$|/([^/:]{1,256}):[A-Za-z]+$"
)
_PAID_BY_PROMPT: Final = re.compile(r"gemini-(?:live-)?[12]\b")
_TIER: Final = re.compile(
    rb"\r\nx-gemini-service-tier:[ \t]*(flex|priority)(?=[ \t\r]|$)", re.IGNORECASE
)
_USUAL_TIERS: Final = ("on_demand", "standard", "unspecified", "traffic_type_unspecified")
_NO_MODEL: Final = re.compile(r"v\d\w*")
"""Version of the API at the position of the model: Code Assist names the model in the body."""


def model_of(path: str) -> str | None:
    """Return the model named by a path such as `/v1beta/models/gemini-2.5-flash:generateContent`."""
    found = _MODEL.search(path)
    if found is None:
        return None
    return found[1] or (None if _NO_MODEL.fullmatch(found[2]) else found[2])


def read(usage: CallUsage, data: bytes) -> None:
    """Read a chunk or a whole response. A refused array stream is an array with one error."""
    document = members_of(data.strip()[1:-1] if data[:1] == b"[" else data)
    # Code Assist, the API of the Gemini CLI, wraps the response.
    document = members_of(document.get("response")) or document
    usage.set_texts(resolved_model=value_in(document, "modelVersion"))
    if (error := object_in(document, "error")) is not None:
        usage.fail(error.get("status"), error.get("code"))
    _read_candidates(usage, document)
    if (counts := object_in(document, "usageMetadata")) is not None:
        _read_counts(usage, counts)


def _read_candidates(usage: CallUsage, document: dict[str, msgspec.Raw]) -> None:
    feedback = object_in(document, "promptFeedback")
    if feedback is None:
        reason = None
    else:
        reason = text_of(feedback.get("blockReason"))
    for candidate in objects_in(document, "candidates"):
        reason = text_of(value_in(candidate, "finishReason")) or reason
        content = candidate.get("content", _RAW)
        grounding = candidate.get("groundingMetadata", _RAW)
        if b'"functionCall"' in bytes(content):
            usage.add_tools(values_at(content, "parts", "functionCall", "name"))
        if b'"webSearchQueries"' in bytes(grounding):
            queries = value_at(grounding, "webSearchQueries")
            measure_searches(usage, sum(map(bool, queries)) if isinstance(queries, list) else 0)

    # The reason is the only terminator.
    if reason is not None:
        usage.finish_reason = reason
        usage.is_finished = True


def measure_searches(usage: CallUsage, queries: int) -> None:
    """Record web searches. Up to Gemini 2.5 the price is per prompt with searches, from Gemini 3
    per search.
    """
    if _PAID_BY_PROMPT.match(usage.resolved_model or usage.model or ""):
        usage.measure(grounded_prompts=min(queries, 1))
    else:
        usage.measure(web_searches=queries)


def _read_counts(usage: CallUsage, counts: dict[str, Any]) -> None:
    # The Live API writes `response` in its names, other calls write `candidates`.
    answer = first_count(counts.get("candidatesTokenCount"), counts.get("responseTokenCount"))
    thoughts = counts.get("thoughtsTokenCount")
    usage.update(
        input_tokens=sum_of(
            (counts.get("promptTokenCount"), counts.get("toolUsePromptTokenCount"))
        ),
        output_tokens=sum_of((answer, thoughts)),
        reasoning_tokens=count_of(thoughts),
        cache_read_tokens=count_of(counts.get("cachedContentTokenCount")),
    )
    for tier in (text_of(counts.get(name)) for name in ("trafficType", "serviceTier")):
        if tier is not None and tier.lower() not in _USUAL_TIERS:
            usage.service_tier = tier
    outputs = counts.get("candidatesTokensDetails", counts.get("responseTokensDetails"))
    measure_kinds(
        usage, counts.get("promptTokensDetails"), outputs, counts.get("cacheTokensDetails")
    )


def measure_kinds(usage: CallUsage, given: object, output: object, cached: object) -> None:
    """Record the tokens of modalities other than text: of the input, the output and the cache."""
    for side, parts in (("input", given), ("output", output)):
        usage.measure(
            **{
                f"{side}_{kind}_tokens": count
                for kind, count in _by_kind(parts).items()
                if kind in KINDS
            }
        )

    if isinstance(cached, list):
        usage.measure_cached({**dict.fromkeys(KINDS, 0), **_by_kind(cached)})


def _by_kind(parts: object) -> dict[str, int | None]:
    """Return tokens by modality. The interactions API has another name for the count."""
    return {
        str(part.get("modality")).lower(): first_count(part.get("tokenCount"), part.get("tokens"))
        for part in objects_among(parts)
    }


def _read_tier(usage: CallUsage, head: bytes) -> None:
    """Read the service tier from the head of a response if the body has none."""
    if usage.service_tier is None and (found := _TIER.search(head)) is not None:
        usage.service_tier = found[1].decode().lower()


PROVIDER: Final = Provider(
    name="gemini",
    wanted=_WANTED,
    read=read,
    content=re.compile(rb'"text"\s*:\s*"[^"]|"functionCall"|"inlineData"|"executableCode"'),
    members=frozenset(
        (b"usageMetadata", b"modelVersion", b"promptFeedback", b"error", b"candidates", b"response")
    ),
    reason=b"finishReason",
    choices=b"candidates",
    wrapper=b"response",
    read_head=_read_tier,
    is_array=True,
    ends=("Content", "Contents", "/interactions"),
    paths=r"/[^/:]+:(?:generateContent|streamGenerateContent|embedContent|batchEmbedContents)|/interactions",
    own_paths=r"Contents?$",
    response_members=(
        b'"candidates"',
        b'"usageMetadata"',
        b'"promptFeedback"',
        b'"error"',
        b'"embedding',
    ),
    model_of=model_of,
)
