"""The server of llama.cpp in its own words: completion and infill. Its `/v1` is OpenAI's.

Every event of a stream counts so far; the one with `stop: true` is the last, and has the reason and the timings.
"""

import re
from typing import Any, Final

import msgspec

from proxy.enrich.formats.json_parts import count_of, decode, is_object, value_at
from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.llm.call import CallUsage, Provider

_RAW: Final = msgspec.Raw()


class _Document(msgspec.Struct, gc=False):
    model: Any = None
    stop: Any = None
    stop_type: Any = None
    tokens_evaluated: Any = None
    tokens_predicted: Any = None
    timings: msgspec.Raw = _RAW
    error: msgspec.Raw = _RAW


_DOCUMENT: Final = msgspec.json.Decoder(_Document)


def read(usage: CallUsage, data: bytes) -> None:
    document = decode(_DOCUMENT, data)
    if document is None:
        return
    usage.set_resolved_model(document.model)
    if is_object(document.error):
        usage.fail(value_at(document.error, "type"), value_at(document.error, "code"))
    predicted = count_of(document.tokens_predicted)
    if predicted is not None:  # else it is an event that is cut, and what is left of its counts is no count
        usage.update(
            input_tokens=count_of(document.tokens_evaluated),
            output_tokens=predicted,
            cache_read_tokens=count_of(value_at(document.timings, "cache_n")),
        )
    if document.stop is True:
        usage.finish_reason = document.stop_type if document.stop_type in ("eos", "limit", "word") else "stop"
        usage.is_finished = True
        usage.is_settled |= predicted is not None


PROVIDER: Final = Provider(
    name="llama.cpp",
    wanted=compile_bytes(rb'"tokens_predicted"|"error"'),
    read=read,
    content=re.compile(rb'"content"\s*:\s*"[^"]'),
    members=frozenset((b"model", b"stop", b"tokens_evaluated", b"tokens_predicted", b"timings", b"error")),
    reason=b"stop_type",
)
