"""Ollama's own API: chat, generate and embed, by default as lines of JSON. Its `/v1` is OpenAI's.

Only the line with `done: true` has the counts. A prompt that was cached has no `prompt_eval_count`.
"""

import re
from typing import Any, Final

import msgspec

from proxy.enrich.formats.json_parts import count_of, decode, text_of, values_at
from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.llm.call import CallUsage, Provider

_WANTED: Final = compile_bytes(rb'"done"\s*:\s*true|"error"|"tool_calls"')


class _Document(msgspec.Struct, gc=False):
    model: Any = None
    done: Any = None
    done_reason: Any = None
    prompt_eval_count: Any = None
    eval_count: Any = None
    error: Any = None
    message: msgspec.Raw = msgspec.Raw()


_DOCUMENT: Final = msgspec.json.Decoder(_Document)


def read(usage: CallUsage, data: bytes) -> None:
    document = decode(_DOCUMENT, data)
    if document is None:
        return
    usage.set_resolved_model(document.model)
    if document.error is not None:
        usage.fail()
    usage.finish_reason = text_of(document.done_reason) or usage.finish_reason
    usage.update(input_tokens=count_of(document.prompt_eval_count), output_tokens=count_of(document.eval_count))
    usage.is_finished = usage.is_finished or document.done is True
    if b'"tool_calls"' in bytes(document.message):
        usage.add_tools(values_at(document.message, "tool_calls", "function", "name"))


PROVIDER: Final = Provider(
    name="ollama",
    wanted=_WANTED,
    read=read,
    content=re.compile(rb'"(?:content|response|thinking)"\s*:\s*"[^"]|"tool_calls"'),
    members=frozenset((b"model", b"done", b"done_reason", b"prompt_eval_count", b"eval_count", b"error")),
    reason=b"done_reason",
)
