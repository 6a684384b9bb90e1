"""The server of llama.cpp in its own words: completion and infill. Its `/v1` is OpenAI's.

Every event of a stream counts so far; the one with `stop: true` is the last, and has the reason and the timings.
"""

import re
from typing import Any, Final

import msgspec

from proxy.enrich.formats.json_parts import count_of, decode, decode_object, is_object
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


class _Timings(msgspec.Struct, gc=False):
    cache_n: Any = None


class _Error(msgspec.Struct, gc=False):
    type: Any = None
    code: Any = None


_DOCUMENT: Final = msgspec.json.Decoder(_Document)
_TIMINGS: Final = msgspec.json.Decoder(_Timings)
_ERROR: Final = msgspec.json.Decoder(_Error)


def read(usage: CallUsage, data: bytes) -> None:
    document = decode(_DOCUMENT, data)
    if document is None:
        return
    usage.set_resolved_model(document.model)
    if is_object(document.error):
        error = decode(_ERROR, document.error) or _Error()
        usage.fail(error.type, error.code)
    predicted = count_of(document.tokens_predicted)
    if predicted is not None:  # else it is an event that is cut, and what is left of its counts is no count
        timings = decode_object(_TIMINGS, document.timings)
        usage.update(
            input_tokens=count_of(document.tokens_evaluated),
            output_tokens=predicted,
            cache_read_tokens=None if timings is None else count_of(timings.cache_n),
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
