"""Gemini: generateContent and streamGenerateContent, as events or as a JSON array.

Each chunk repeats the counts so far: the last one wins, and a chunk without them erases nothing. A blocked prompt is a
success whose reason says so.
"""

import re
from typing import Any, Final

import msgspec

from proxy.enrich.formats.json_parts import count_of, decode, is_object, text_of
from proxy.enrich.llm.call import CallUsage, Provider

_RAW: Final = msgspec.Raw()
_WANTED: Final = (b'"usageMetadata"', b'"finishReason"', b'"promptFeedback"', b'"error"')
_MODEL: Final = re.compile(r"/models/([^/:]{1,256}):|/([^/:]{1,256}):[A-Za-z]+$")


class _Document(msgspec.Struct, gc=False):
    model: Any = msgspec.field(default=None, name="modelVersion")
    candidates: msgspec.Raw = _RAW
    usage: msgspec.Raw = msgspec.field(default=_RAW, name="usageMetadata")
    feedback: msgspec.Raw = msgspec.field(default=_RAW, name="promptFeedback")
    error: msgspec.Raw = _RAW


class _Counts(msgspec.Struct, gc=False, rename="camel"):
    prompt_token_count: Any = None
    candidates_token_count: Any = None
    thoughts_token_count: Any = None
    cached_content_token_count: Any = None
    tool_use_prompt_token_count: Any = None


class _Part(msgspec.Struct, gc=False, rename="camel"):
    """A candidate, a feedback or an error."""

    finish_reason: Any = None
    block_reason: Any = None
    status: Any = None
    code: Any = None


_DOCUMENT: Final = msgspec.json.Decoder(_Document)
_COUNTS: Final = msgspec.json.Decoder(_Counts)
_PART: Final = msgspec.json.Decoder(_Part)
_PARTS: Final = msgspec.json.Decoder(list[_Part])


def model_of(path: str) -> str | None:
    """Read the model out of a path such as `/v1beta/models/gemini-2.5-flash:generateContent`."""
    found = _MODEL.search(path)
    return None if found is None else found[1] or found[2]


def is_wanted(data: bytes) -> bool:
    return any(part in data for part in _WANTED)


def read(usage: CallUsage, data: bytes) -> None:
    """Read a chunk or a response; an array of one error, as a refused array stream is, is that error."""
    document = decode(_DOCUMENT, data.strip()[1:-1] if data[:1] == b"[" else data)
    if document is None:
        return
    usage.set_resolved_model(document.model)
    if is_object(document.error):
        error = decode(_PART, document.error) or _Part()
        usage.fail(error.status, error.code)
    _read_reason(usage, document)
    if is_object(document.usage) and (counts := decode(_COUNTS, document.usage)) is not None:
        _read_counts(usage, counts)


def _read_reason(usage: CallUsage, document: _Document) -> None:
    reason = None
    if is_object(document.feedback) and (feedback := decode(_PART, document.feedback)) is not None:
        reason = text_of(feedback.block_reason)
    if bytes(document.candidates)[:1] == b"[":
        reasons = (text_of(candidate.finish_reason) for candidate in decode(_PARTS, document.candidates) or ())
        reason = next((found for found in reasons if found), reason)
    if reason is not None:  # there is no other terminator
        usage.finish_reason = reason
        usage.is_finished = True


def _read_counts(usage: CallUsage, counts: _Counts) -> None:
    prompt, tool = count_of(counts.prompt_token_count), count_of(counts.tool_use_prompt_token_count)
    answer, thoughts = count_of(counts.candidates_token_count), count_of(counts.thoughts_token_count)
    usage.update(
        input_tokens=None if prompt is tool is None else (prompt or 0) + (tool or 0),
        output_tokens=None if answer is thoughts is None else (answer or 0) + (thoughts or 0),
        reasoning_tokens=thoughts,
        cache_read_tokens=count_of(counts.cached_content_token_count),
    )


PROVIDER: Final = Provider(
    name="gemini",
    is_wanted=is_wanted,
    read=read,
    content=re.compile(rb'"text"\s*:\s*"[^"]|"functionCall"|"inlineData"|"executableCode"'),
    members=(b"usageMetadata", b"modelVersion", b"promptFeedback", b"error"),
    reasons=(b"finishReason",),
)
