"""Servers of own models in their own words: Ollama's chat, generate and embed; llama.cpp's completion and infill.

The `/v1` of both is OpenAI's. Of Ollama's lines only the one with `done: true` has the counts; a prompt that was cached
has no `prompt_eval_count`. Every event of llama.cpp's streams counts so far; the one with `stop: true` is the last, and
has the reason and the timings.
"""

import re
from typing import Final

from proxy.enrich.formats.json_parts import count_of, members_of, object_in, text_of, value_in, values_at
from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.llm.call import CallUsage, Provider

_WANTED: Final = compile_bytes(rb'"done"\s*:\s*true|"error"|"tool_calls"')


def read(usage: CallUsage, data: bytes) -> None:
    document = members_of(data)
    usage.set_resolved_model(value_in(document, "model"))
    if value_in(document, "error") is not None:
        usage.fail()
    usage.finish_reason = text_of(value_in(document, "done_reason")) or usage.finish_reason
    usage.update(
        input_tokens=count_of(value_in(document, "prompt_eval_count")),
        output_tokens=count_of(value_in(document, "eval_count")),
    )
    usage.is_finished = usage.is_finished or value_in(document, "done") is True
    if "message" in document and b'"tool_calls"' in bytes(document["message"]):
        usage.add_tools(values_at(document["message"], "tool_calls", "function", "name"))


PROVIDER: Final = Provider(
    name="ollama",
    wanted=_WANTED,
    read=read,
    content=re.compile(rb'"(?:content|response|thinking)"\s*:\s*"[^"]|"tool_calls"'),
    members=frozenset((b"model", b"done", b"done_reason", b"prompt_eval_count", b"eval_count", b"error")),
    reason=b"done_reason",
)


def read_llama(usage: CallUsage, data: bytes) -> None:
    document = members_of(data)
    usage.set_resolved_model(value_in(document, "model"))
    if (error := object_in(document, "error")) is not None:
        usage.fail(error.get("type"), error.get("code"))
    predicted = count_of(value_in(document, "tokens_predicted"))
    if predicted is not None:  # else it is an event that is cut, and what is left of its counts is no count
        usage.update(
            input_tokens=count_of(value_in(document, "tokens_evaluated")),
            output_tokens=predicted,
            cache_read_tokens=count_of((object_in(document, "timings") or {}).get("cache_n")),
        )
    if value_in(document, "stop") is True:
        reason = value_in(document, "stop_type")
        usage.finish_reason = reason if reason in ("eos", "limit", "word") else "stop"
        usage.is_finished = True
        usage.is_settled |= predicted is not None


LLAMA_SERVER: Final = Provider(
    name="llama.cpp",
    wanted=compile_bytes(rb'"tokens_predicted"|"error"'),
    read=read_llama,
    content=re.compile(rb'"content"\s*:\s*"[^"]'),
    members=frozenset((b"model", b"stop", b"tokens_evaluated", b"tokens_predicted", b"timings", b"error")),
    reason=b"stop_type",
)
