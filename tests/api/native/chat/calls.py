"""Calls of language models, and what is read of them, as JSON shows it."""

import json
from typing import Any

import msgspec

from api.native.chat.chat import Chat, read_chat
from storage.record import Body
from tests.api.samples import make_body, make_payload, make_record


def body_of(content: object, keep: int | None = None, tail: int = 0) -> Body:
    """Make a body of text or JSON, of which the first and last characters are kept."""
    raw = (content if isinstance(content, str) else json.dumps(content)).encode()
    if keep is None:
        return make_body(raw)
    return Body(raw[:keep], raw[len(raw) - tail :], len(raw), True, None, None)


def sent_in(content: object, keep: int | None = None, tail: int = 0) -> Any:
    """Read what a request says."""
    return _chat(body_of(content, keep, tail), make_body(b""))["sent"]


def answered(content: object, keep: int | None = None, tail: int = 0) -> Any:
    """Read what a response says."""
    return _chat(make_body(b""), body_of(content, keep, tail))["answer"]


def said(sent: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Write messages as (role, kind, text) or (role, kind, text, name) where there is a name."""
    return [
        (message["role"], *part)
        for message in [*sent["messages"], *sent["later"]]
        for part in parts(message)
    ]


def parts(message: dict[str, Any]) -> list[tuple[str, ...]]:
    """Write parts as (kind, text) or (kind, text, name) where there is a name."""
    return [
        (part["kind"], part["text"], *([part["name"]] if part.get("name") else []))
        for part in message["parts"]
    ]


def _chat(request: Body, response: Body) -> Any:
    record = make_record(1, provider="x")
    chat = Chat(*read_chat(record, make_payload(request, response), {}))
    return msgspec.json.decode(msgspec.json.encode(chat))
