"""Ollama's own API: chat, generate and embed, by default as lines of JSON. Its `/v1` is OpenAI's.

Only the line with `done: true` has the counts. For a cached prompt, `prompt_eval_count` is missing.
"""

import re
from typing import Final

from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.llm.fields import Fields, reader_of
from proxy.enrich.llm.provider import Provider

FIELDS: Final = Fields(
    reason=("done_reason",),
    end=("done", True),
    input=("prompt_eval_count",),
    output=("eval_count",),
    tools="message.tool_calls.function.name",
)
PROVIDER: Final = Provider(
    name="ollama",
    wanted=compile_bytes(rb'"done"\s*:\s*true|"error"|"tool_calls"'),
    read=reader_of(FIELDS),
    content=re.compile(rb'"(?:content|response|thinking)"\s*:\s*"[^"]|"tool_calls"'),
    members=frozenset(
        (b"model", b"done", b"done_reason", b"prompt_eval_count", b"eval_count", b"error")
    ),
    reason=b"done_reason",
    ends=("/chat", "/generate", "/embed"),
    paths=r"/api/(?:chat|generate|embed)",
    request_members={
        "chat": (b"messages",),
        "generate": (b"prompt",),
        "embed": (b"input", b"texts", b"inputs", b"images"),
    },
    response_members=(b'"done"', b'"embeddings"', b'"total_duration"'),
)
