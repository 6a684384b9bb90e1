"""The title of a conversation: the first words of its user, from the stored body of one of its
first calls. Pure.

Stored bodies may be cut, and hold arbitrary input: what cannot be read is None. Coding agents put
texts of their own before the words of the user, as elements (`<environment_context>…`) of the same
text, of others of the same message, or as messages of their own; and they ask for a title, or which
model to take, before they begin.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from api.native.chat.document import request_in
from storage.record import Body

MAX_CHARACTERS: Final = 200
_MESSAGES: Final = ("messages", "contents", "input")
_ROLES: Final = ("user", None)
"""Some messages have no role: Gemini's, and texts of the Responses API."""
_ELEMENT: Final = re.compile(
    r"\s*(?:#[^\n]*\n\s*)?<([A-Za-z][\w.-]*)(?:\s[^<>]*)?>.*?</\1>", re.DOTALL
)
"""One that a program has put in, under a heading or without."""
_SAID: Final = re.compile(
    r"</?(?:user[-_](?:query|prompt|message|input|request)|command-(?:name|message|args)|bash-input)>"
)
"""Tags around what the person said, in some agents; the chat leaves them as they are
(api/native/chat/blocks.py).
"""
_HEADING: Final = re.compile(r"\A\s*New task:\s*\n")
"""What smolagents writes before its task."""
_SPACES: Final = re.compile(r"\s+")


class ConversationOpening(NamedTuple):
    """How a call begins."""

    text: str | None
    """The first words of its user."""
    is_aside: bool
    """Whether it offers no tools: where other calls do, a program asks it something beside its
    work.
    """

    @property
    def is_work(self) -> bool:
        return self.text is not None and not self.is_aside


def opening_of(body: Body | None) -> ConversationOpening:
    """Read the body of a request."""
    found = request_in(body)
    if found is None:
        return ConversationOpening(None, is_aside=False)

    document = found.value
    messages = next((document[name] for name in _MESSAGES if name in document), None)
    is_cut = body is not None and body.truncated
    return ConversationOpening(
        _first_text(messages), is_aside=not is_cut and not _offers_tools(document, messages)
    )


def chosen(openings: Sequence[ConversationOpening]) -> str | None:
    """Return what the user said in the first call that offers tools; without one, in the first that
    says anything.
    """
    spoken = [opening for opening in openings if opening.text is not None]
    return next(
        (opening.text for opening in spoken if opening.is_work), spoken[0].text if spoken else None
    )


def _offers_tools(document: dict[str, Any], messages: Any) -> bool:
    if document.get("tools") or document.get("toolConfig"):
        return True
    given = messages if isinstance(messages, list) else []
    # Codex.
    return any(isinstance(item, dict) and item.get("type") == "additional_tools" for item in given)


def _first_text(messages: Any) -> str | None:
    """Return the first words of a person, else the first text of a program."""
    if isinstance(messages, str):
        return _shortened(messages)
    first = ""
    for message in messages if isinstance(messages, list) else ():
        said = _said(message)
        if _spoken(said):
            return _shortened(said)
        first = first or said

    return _shortened(first)


def _said(message: Any) -> str:
    """Return the last text of a user's message that a person wrote; empty without one."""
    if not isinstance(message, dict) or message.get("role") not in _ROLES:
        return ""
    content = message.get("content", message.get("parts"))
    if isinstance(content, str):
        return content

    # Gemini's interactions take texts themselves.
    blocks = content if isinstance(content, list) else [message]
    texts = [
        block["text"]
        for block in blocks
        if isinstance(block, dict) and isinstance(block.get("text"), str)
    ]
    return next(filter(_spoken, reversed(texts)), texts[-1] if texts else "")


def _spoken(text: str) -> str:
    """Return a text without the elements before it."""
    text = _SAID.sub(" ", _HEADING.sub("", text))
    at = 0
    while (element := _ELEMENT.match(text, at)) is not None:
        at = element.end()
    return text[at:].strip()


def _shortened(text: str) -> str | None:
    return _SPACES.sub(" ", _spoken(text) or text).strip()[:MAX_CHARACTERS] or None
