"""Exchanges with LLM providers for tests: bodies in, the record out; and how streams are written on
the wire.
"""

import json
from typing import Any

from storage.record import Record
from tests.proxy.enrich.exchanges import entry_of

COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)


def record_of(path: str, body: object, answer: object, **more: Any) -> Record:
    """Build the record of an exchange whose bodies are JSON unless they are bytes."""
    return entry_of(path, body, answer, **more).record


def chat_of(answer: object, **more: Any) -> Record:
    """Build the record of a chat that is answered so."""
    return record_of("/v1/chat/completions", CHAT, answer, **more)


def streamed(answer: bytes, **more: Any) -> Record:
    """Build the record of a chat that is answered by events."""
    return chat_of(answer, content_type="text/event-stream", **more)


def facts_of(record: Record) -> tuple[Any, ...]:
    """The columns that most tests are about."""
    return (
        record.provider,
        record.model,
        record.resolved_model,
        *(getattr(record, name) for name in COUNTS),
    )


def sse(*documents: object) -> bytes:
    """Write documents as an event stream; text stands for itself."""
    frames = (
        part if isinstance(part, str) else json.dumps(part, separators=(",", ":"))
        for part in documents
    )
    return b"".join(f"data: {frame}\n\n".encode() for frame in frames)


def named(*documents: Any) -> bytes:
    """Write documents as an event stream with the names of their types; text is its end."""
    return b"".join(
        f"event: done\ndata: {part}\n\n".encode()
        if isinstance(part, str)
        else f"event: {part.get('type') or part['event_type']}\ndata: {json.dumps(part)}\n\n".encode()
        for part in documents
    )


CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}


CHAT_USAGE = {
    "prompt_tokens": 19,
    "completion_tokens": 10,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 4, "accepted_prediction_tokens": 0},
}


CHAT_ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o-2024-08-06",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
    ],
    "usage": CHAT_USAGE,
}


def chunk(content: str | None = None, reason: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk of a chat stream."""
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {
        "object": "chat.completion.chunk",
        "model": "gpt-4o-2024-08-06",
        "choices": [choice],
    } | more


ANTHROPIC = {
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hi"}],
    "model": "claude-sonnet-4-5",
    "stream": True,
}


ANTHROPIC_USAGE = {
    "input_tokens": 25, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 7, "output_tokens": 1,
    "service_tier": "standard",
}  # fmt: skip
