"""The Anthropic shape: messages, plain and streamed.

The counts of a stream are cumulative: `message_start` has the input's, each `message_delta` those so far, perhaps with
the input's again. They overwrite, they are never added up. `input_tokens` counts only what no cache knew; ours counts
all of the input.
"""

import re
from typing import Any, Final

import msgspec

from proxy.enrich.formats.json_parts import count_of, decode, is_object, text_of
from proxy.enrich.llm.call import Reading, Shape

_RAW: Final = msgspec.Raw()
_WANTED: Final = (b'"message_start"', b'"message_delta"', b'"message_stop"', b'"error"')


class _Document(msgspec.Struct, gc=False):
    type: Any = None
    model: Any = None
    stop_reason: Any = None
    message: msgspec.Raw = _RAW
    delta: msgspec.Raw = _RAW
    usage: msgspec.Raw = _RAW
    error: msgspec.Raw = _RAW


class _Usage(msgspec.Struct, gc=False):
    input_tokens: Any = None
    output_tokens: Any = None
    cache_creation_input_tokens: Any = None
    cache_read_input_tokens: Any = None
    output_tokens_details: msgspec.Raw = _RAW


class _Details(msgspec.Struct, gc=False):
    thinking_tokens: Any = None


_DOCUMENT: Final = msgspec.json.Decoder(_Document)
_COUNTS: Final = msgspec.json.Decoder(_Usage)
_DETAILS: Final = msgspec.json.Decoder(_Details)


def is_wanted(data: bytes) -> bool:
    """Whether a frame is one of those that carry counts, a reason, the end or an error."""
    return any(part in data for part in _WANTED)


def read(reading: Reading, data: bytes) -> None:
    """Read a frame or an answer."""
    document = decode(_DOCUMENT, data)
    if document is None:
        return
    if document.type == "message_stop":
        reading.is_finished = True
    elif document.type == "error" or is_object(document.error):
        error = decode(_DOCUMENT, document.error)
        reading.error_type = (error and text_of(error.type)) or "error"
        reading.is_finished = True
    else:
        _read_message(reading, document)
        for inner in (document.message, document.delta):
            if is_object(inner) and (found := decode(_DOCUMENT, inner)) is not None:
                _read_message(reading, found)
        if is_object(document.usage) and reading.finish_reason is not None:
            reading.is_settled = True


def _read_message(reading: Reading, message: _Document) -> None:
    if model := text_of(message.model):
        reading.resolved_model = model
    reading.finish_reason = text_of(message.stop_reason) or reading.finish_reason
    usage = decode(_COUNTS, message.usage) if is_object(message.usage) else None
    if usage is None:
        return
    details = decode(_DETAILS, usage.output_tokens_details)
    counts = {
        "uncached_tokens": count_of(usage.input_tokens),
        "output_tokens": count_of(usage.output_tokens),
        "cache_write_tokens": count_of(usage.cache_creation_input_tokens),
        "cache_read_tokens": count_of(usage.cache_read_input_tokens),
        "reasoning_tokens": None if details is None else count_of(details.thinking_tokens),
    }
    for name, value in counts.items():
        if value is not None:
            setattr(reading, name, value)
    if reading.uncached_tokens is not None:
        reading.input_tokens = (
            reading.uncached_tokens + (reading.cache_write_tokens or 0) + (reading.cache_read_tokens or 0)
        )


SHAPE: Final = Shape(
    provider="anthropic",
    is_wanted=is_wanted,
    read=read,
    content=re.compile(rb'"content_block_delta"|"content_block_start".*"tool_use"', re.DOTALL),
    members=(b"usage", b"model", b"error"),
    reasons=(b"stop_reason",),
)
