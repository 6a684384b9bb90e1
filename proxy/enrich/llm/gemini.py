"""The Gemini shape: generateContent and streamGenerateContent, as events or as a JSON array.

Each chunk repeats the counts so far: the last one wins, and a chunk without them erases nothing. A blocked prompt is a
success whose reason says so.
"""

import re
from typing import Any, Final

import msgspec

from proxy.enrich.formats.json_parts import count_of, decode, is_object, text_of
from proxy.enrich.llm.call import Reading, Shape

_RAW: Final = msgspec.Raw()
_WANTED: Final = (b'"usageMetadata"', b'"finishReason"', b'"promptFeedback"', b'"error"')
_MODEL: Final = re.compile(r"/models/([^/:]{1,256}):|/([^/:]{1,256}):[A-Za-z]+$")


class _Document(msgspec.Struct, gc=False):
    model: Any = msgspec.field(default=None, name="modelVersion")
    candidates: msgspec.Raw = _RAW
    usage: msgspec.Raw = msgspec.field(default=_RAW, name="usageMetadata")
    feedback: msgspec.Raw = msgspec.field(default=_RAW, name="promptFeedback")
    error: msgspec.Raw = _RAW


class _Usage(msgspec.Struct, gc=False, rename="camel"):
    prompt_token_count: Any = None
    candidates_token_count: Any = None
    thoughts_token_count: Any = None
    cached_content_token_count: Any = None
    tool_use_prompt_token_count: Any = None


class _Candidate(msgspec.Struct, gc=False):
    reason: Any = msgspec.field(default=None, name="finishReason")


class _Feedback(msgspec.Struct, gc=False):
    reason: Any = msgspec.field(default=None, name="blockReason")


class _Error(msgspec.Struct, gc=False):
    status: Any = None
    code: Any = None


_DOCUMENT: Final = msgspec.json.Decoder(_Document)
_COUNTS: Final = msgspec.json.Decoder(_Usage)
_CANDIDATES: Final = msgspec.json.Decoder(list[_Candidate])
_FEEDBACK: Final = msgspec.json.Decoder(_Feedback)
_ERROR: Final = msgspec.json.Decoder(_Error)


def model_of(path: str) -> str | None:
    """Read the model out of a path such as `/v1beta/models/gemini-2.5-flash:generateContent`."""
    found = _MODEL.search(path)
    return None if found is None else found[1] or found[2]


def is_wanted(data: bytes) -> bool:
    """Whether a chunk has counts, a reason or an error."""
    return any(part in data for part in _WANTED)


def read(reading: Reading, data: bytes) -> None:
    """Read a chunk or an answer; an array with one error, as the array stream answers, is that error."""
    document = decode(_DOCUMENT, data.strip()[1:-1] if data[:1] == b"[" else data)
    if document is None:
        return
    if model := text_of(document.model):
        reading.resolved_model = model
    if is_object(document.error):
        error = decode(_ERROR, document.error)
        reading.error_type = (error and (text_of(error.status) or text_of(error.code))) or "error"
        reading.is_finished = True
    _read_reason(reading, document)
    if is_object(document.usage) and (usage := decode(_COUNTS, document.usage)) is not None:
        _read_usage(reading, usage)


def _read_reason(reading: Reading, document: _Document) -> None:
    reason = None
    if is_object(document.feedback) and (feedback := decode(_FEEDBACK, document.feedback)) is not None:
        reason = text_of(feedback.reason)
    if bytes(document.candidates)[:1] == b"[":
        reasons = (text_of(candidate.reason) for candidate in decode(_CANDIDATES, document.candidates) or ())
        reason = next((found for found in reasons if found), reason)
    if reason is not None:  # this shape has no other terminator
        reading.finish_reason = reason
        reading.is_finished = True


def _read_usage(reading: Reading, usage: _Usage) -> None:
    prompt, tool = count_of(usage.prompt_token_count), count_of(usage.tool_use_prompt_token_count)
    answer, thoughts = count_of(usage.candidates_token_count), count_of(usage.thoughts_token_count)
    if prompt is not None or tool is not None:
        reading.input_tokens = (prompt or 0) + (tool or 0)
    if answer is not None or thoughts is not None:
        reading.output_tokens = (answer or 0) + (thoughts or 0)
    if thoughts is not None:
        reading.reasoning_tokens = thoughts
    if (cached := count_of(usage.cached_content_token_count)) is not None:
        reading.cache_read_tokens = cached


SHAPE: Final = Shape(
    provider="gemini",
    is_wanted=is_wanted,
    read=read,
    content=re.compile(rb'"text"\s*:\s*"[^"]|"functionCall"|"inlineData"|"executableCode"'),
    members=(b"usageMetadata", b"modelVersion", b"promptFeedback", b"error"),
    reasons=(b"finishReason",),
)
