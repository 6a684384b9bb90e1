"""Anthropic: messages, plain and streamed.

The counts of a stream are cumulative: `message_start` has the input's, each `message_delta` those so far, perhaps with
the input's again. They replace, they are never added up. `input_tokens` counts only what was read from no cache; ours
counts all of the input.
"""

import re
from typing import Any, Final

import msgspec

from proxy.enrich.formats.json_parts import count_of, decode, is_object, text_of
from proxy.enrich.llm.call import CallUsage, Provider

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


class _Counts(msgspec.Struct, gc=False):
    input_tokens: Any = None
    output_tokens: Any = None
    cache_creation_input_tokens: Any = None
    cache_read_input_tokens: Any = None
    output_tokens_details: msgspec.Raw = _RAW


class _Details(msgspec.Struct, gc=False):
    thinking_tokens: Any = None


_DOCUMENT: Final = msgspec.json.Decoder(_Document)
_COUNTS: Final = msgspec.json.Decoder(_Counts)
_DETAILS: Final = msgspec.json.Decoder(_Details)


def is_wanted(data: bytes) -> bool:
    return any(part in data for part in _WANTED)


def read(usage: CallUsage, data: bytes) -> None:
    document = decode(_DOCUMENT, data)
    if document is None:
        return
    if document.type == "message_stop":
        usage.is_finished = True
    elif document.type == "error" or is_object(document.error):
        error = decode(_DOCUMENT, document.error)
        usage.fail(error and error.type)
    else:
        _read_message(usage, document)
        for inner in (document.message, document.delta):
            if is_object(inner) and (found := decode(_DOCUMENT, inner)) is not None:
                _read_message(usage, found)
        if is_object(document.usage) and usage.finish_reason is not None:
            usage.is_settled = True


def _read_message(usage: CallUsage, message: _Document) -> None:
    usage.set_resolved_model(message.model)
    usage.finish_reason = text_of(message.stop_reason) or usage.finish_reason
    counts = decode(_COUNTS, message.usage) if is_object(message.usage) else None
    if counts is None:
        return
    details = decode(_DETAILS, counts.output_tokens_details)
    usage.update(
        uncached_tokens=count_of(counts.input_tokens),
        output_tokens=count_of(counts.output_tokens),
        cache_write_tokens=count_of(counts.cache_creation_input_tokens),
        cache_read_tokens=count_of(counts.cache_read_input_tokens),
        reasoning_tokens=None if details is None else count_of(details.thinking_tokens),
    )
    if usage.uncached_tokens is not None:
        usage.input_tokens = usage.uncached_tokens + (usage.cache_write_tokens or 0) + (usage.cache_read_tokens or 0)


PROVIDER: Final = Provider(
    name="anthropic",
    is_wanted=is_wanted,
    read=read,
    content=re.compile(rb'"content_block_delta"|"content_block_start".*"tool_use"', re.DOTALL),
    members=(b"usage", b"model", b"error"),
    reasons=(b"stop_reason",),
)
