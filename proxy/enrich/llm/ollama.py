"""Ollama's own API: chat, generate and embed, by default as lines of JSON. Its `/v1` is OpenAI's.

Only the line with `done: true` has the counts. A prompt that was cached has no `prompt_eval_count`.
"""

import re
from typing import Final

from proxy.enrich.facts import CallUsage
from proxy.enrich.formats.json_parts import count_of, members_of, text_of, value_in, values_at
from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.llm.provider import Provider

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
    members=frozenset(
        (b"model", b"done", b"done_reason", b"prompt_eval_count", b"eval_count", b"error")
    ),
    reason=b"done_reason",
)
