"""The server of llama.cpp, its own API: completion and infill. Its `/v1` is OpenAI's.

Every event of a stream has the counts so far. The last one has `stop: true`, the reason and the
timings.
"""

import re
from typing import Final

from proxy.enrich.facts import CallUsage
from proxy.enrich.formats.json_parts import count_of, members_of, object_in, value_in
from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.llm.provider import Provider


def read(usage: CallUsage, data: bytes) -> None:
    document = members_of(data)
    usage.set_texts(resolved_model=value_in(document, "model"))
    if (error := object_in(document, "error")) is not None:
        usage.fail(error.get("type"), error.get("code"))
    predicted = count_of(value_in(document, "tokens_predicted"))
    # Without this count the event is cut, so its other counts are ignored.
    if predicted is not None:
        usage.update(
            input_tokens=count_of(value_in(document, "tokens_evaluated")),
            output_tokens=predicted,
            cache_read_tokens=count_of((object_in(document, "timings") or {}).get("cache_n")),
        )

    if value_in(document, "stop") is True:
        reason = value_in(document, "stop_type")
        if reason in ("eos", "limit", "word"):
            usage.finish_reason = reason
        else:
            usage.finish_reason = "stop"
        usage.is_finished = True
        usage.is_settled |= predicted is not None


PROVIDER: Final = Provider(
    name="llama.cpp",
    wanted=compile_bytes(rb'"tokens_predicted"|"error"'),
    read=read,
    content=re.compile(rb'"content"\s*:\s*"[^"]'),
    members=frozenset(
        (b"model", b"stop", b"tokens_evaluated", b"tokens_predicted", b"timings", b"error")
    ),
    reason=b"stop_type",
    ends=("/completion", "/infill"),
    paths=r"/(?:completion|infill)",
    request_members={"completion": (b"prompt",), "infill": (b"input_prefix", b"input_suffix")},
    response_members=(b'"tokens_predicted"', b'"stop_type"'),
    error_members=(b'"error"', b'"code"', b'"type"'),
)
