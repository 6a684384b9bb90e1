"""Ollama's own shape: chat, generate and embed, by default as lines of JSON. Its `/v1` is the OpenAI shape.

Only the line with `done: true` has the counts. A prompt that was cached has no `prompt_eval_count`.
"""

import re
from typing import Any, Final

import msgspec

from proxy.enrich.formats.json_parts import count_of, decode, text_of
from proxy.enrich.llm.call import Reading, Shape

_DONE: Final = re.compile(rb'"done"\s*:\s*true')


class _Document(msgspec.Struct, gc=False):
    model: Any = None
    done: Any = None
    done_reason: Any = None
    prompt_eval_count: Any = None
    eval_count: Any = None
    error: Any = None


_DOCUMENT: Final = msgspec.json.Decoder(_Document)


def is_wanted(data: bytes) -> bool:
    """Whether a line is the last one or an error."""
    return b'"error"' in data or _DONE.search(data) is not None


def read(reading: Reading, data: bytes) -> None:
    """Read a line or an answer."""
    document = decode(_DOCUMENT, data)
    if document is None:
        return
    if model := text_of(document.model):
        reading.resolved_model = model
    if document.error is not None:
        reading.error_type = "error"
        reading.is_finished = True
    reading.finish_reason = text_of(document.done_reason) or reading.finish_reason
    if (count := count_of(document.prompt_eval_count)) is not None:
        reading.input_tokens = count
    if (count := count_of(document.eval_count)) is not None:
        reading.output_tokens = count
    reading.is_finished = reading.is_finished or document.done is True


SHAPE: Final = Shape(
    provider="ollama",
    is_wanted=is_wanted,
    read=read,
    content=re.compile(rb'"(?:content|response|thinking)"\s*:\s*"[^"]|"tool_calls"'),
    members=(b"model", b"done", b"done_reason", b"prompt_eval_count", b"eval_count", b"error"),
    reasons=(b"done_reason",),
)
