"""What a conversation is about: the first words of its user, out of the stored body of its first call. Pure.

Stored bodies may be cut, and hold what anybody sent: what cannot be read is None. Coding agents put their own reminders
before the words of the user, as blocks of the same message, so the last text of that message counts.
"""

import re
from typing import Any, Final

import msgspec

from storage.record import Body

MAX_CHARACTERS: Final = 200
_MESSAGES: Final = ("messages", "contents", "input")
_ROLES: Final = ("user", None)
"""Some messages have no role: Gemini's, and texts of the Responses API."""
_CUT_TEXT: Final = re.compile(
    rb'"role"\s*:\s*"user"\s*,\s*"(?:content|parts)"\s*:\s*(?:\[\s*\{[^{}\[\]]{0,100}?"text"\s*:\s*)?("(?:[^"\\]|\\.)*+")'
)
_SPACES: Final = re.compile(r"\s+")


def first_text(body: Body | None) -> str | None:
    """Return the beginning of the first thing that a user said in a request; None where it cannot be told."""
    if body is None or not body.head:
        return None
    text = _in_cut(body.head) if body.truncated else _in_document(body.head)
    return _SPACES.sub(" ", text).strip()[:MAX_CHARACTERS] or None if text else None


def _in_document(head: bytes) -> str | None:
    try:
        document = msgspec.json.decode(head)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    if isinstance(document, dict) and isinstance(document.get("request"), dict):
        document = document["request"]
    if not isinstance(document, dict):
        return None
    messages = next((document[name] for name in _MESSAGES if name in document), None)
    if isinstance(messages, str):
        return messages
    return next(filter(None, map(_said, messages)), None) if isinstance(messages, list) else None


def _said(message: Any) -> str | None:
    """Return the last text of a message of the user's."""
    if not isinstance(message, dict) or message.get("role") not in _ROLES:
        return None
    content = message.get("content", message.get("parts"))
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    texts = [block["text"] for block in blocks if isinstance(block, dict) and isinstance(block.get("text"), str)]
    return texts[-1] if texts else None


def _in_cut(head: bytes) -> str | None:
    found = _CUT_TEXT.search(head)
    if found is None:
        return None
    try:
        return msgspec.json.decode(found[1], type=str)
    except (msgspec.MsgspecError, ValueError):
        return None
