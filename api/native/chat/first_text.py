"""Finds the title of a conversation: the user's first words, in the body of one of its first calls.

Stored bodies may be cut and contain arbitrary input; a body that cannot be read gives None. Coding
agents put texts of their own before the user's words: as elements (`<environment_context>…`) in the
same text, in other texts of the message, or as messages of their own. They also ask for a title, or
which model to use, before they begin.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from api.native.chat.message import Message
from api.native.chat.request import read_request
from storage.record import Body

MAX_CHARACTERS: Final = 200
_ELEMENT: Final = re.compile(
    r"\s*(?:#[^\n]*\n\s*)?<([A-Za-z][\w.-]*)(?:\s[^<>]*)?>.*?</\1>", re.DOTALL
)
"""An element that a program inserted, with or without a heading."""
_SAID: Final = re.compile(
    r"</?(?:user[-_](?:query|prompt|message|input|request)|command-(?:name|message|args)|bash-input)>"
)
"""Tags around the user's words in some agents; the chat leaves them as they are
(api/native/chat/blocks.py).
"""
_HEADING: Final = re.compile(r"\A\s*New task:\s*\n")
"""Heading that smolagents puts before its task."""
_SPACES: Final = re.compile(r"\s+")


class ConversationOpening(NamedTuple):
    """The beginning of a call."""

    text: str | None
    """The user's first words."""
    is_aside: bool
    """Whether it offers no tools. If other calls do, this one is a side question of a program."""

    @property
    def is_work(self) -> bool:
        return self.text is not None and not self.is_aside


def opening_of(body: Body | None) -> ConversationOpening:
    """Return the opening of a conversation from the body of an early request, to choose a title."""
    sent = read_request(body)
    if sent is None:
        return ConversationOpening(None, is_aside=False)
    return ConversationOpening(
        _first_text(sent.messages), is_aside=not sent.is_cut and not sent.tools
    )


def chosen(openings: Sequence[ConversationOpening]) -> str | None:
    """Return the user's words from the first call that offers tools, or else from the first with
    any text.
    """
    spoken = [opening for opening in openings if opening.text is not None]
    return next(
        (opening.text for opening in spoken if opening.is_work), spoken[0].text if spoken else None
    )


def _first_text(messages: Sequence[Message]) -> str | None:
    """Return the first words of a person, or else the first text of a program."""
    first = ""
    for message in messages:
        said = _said(message)
        if _spoken(said):
            return _shortened(said)
        first = first or said

    return _shortened(first)


def _said(message: Message) -> str:
    """Return the last text in a user's message that a person wrote; empty if there is none."""
    if message.role != "user":
        return ""
    texts = [part.text for part in message.parts if part.kind == "text"]
    return next(filter(_spoken, reversed(texts)), texts[-1] if texts else "")


def _spoken(text: str) -> str:
    """Return a text without leading elements."""
    text = _SAID.sub(" ", _HEADING.sub("", text))
    at = 0
    while (element := _ELEMENT.match(text, at)) is not None:
        at = element.end()
    return text[at:].strip()


def _shortened(text: str) -> str | None:
    return _SPACES.sub(" ", _spoken(text) or text).strip()[:MAX_CHARACTERS] or None
