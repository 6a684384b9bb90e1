"""What was sent to a language model: the messages of a stored request, of any API. Pure.

Of a request that was cut there are the messages of its beginning, and those that its end has whole.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from api.native.chat.document import read_json, request_in
from api.native.chat.message import Message, message_of, parts_of
from storage.record import Body

_SYSTEM: Final = ("system", "instructions", "systemInstruction", "system_instruction")
_LISTS: Final = ("messages", "contents", "input", "prompt")
_SIGN: Final = re.compile(rb'["{}\[\]]')
_BACKSLASHES: Final = re.compile(rb"\\*+")
_OF_MESSAGE: Final = re.compile(r"message\Z|reasoning\Z|_call\Z|_output\Z")
"""Ends the types of items that have no role."""
_LIST, _ITEM = 2, 3
"""How deep the list of messages is in a request, and each of them."""


def messages_sent(body: Body | None) -> list[Message]:
    """Return the messages of a request, instructions first; none of what cannot be read."""
    document = request_in(body)
    if body is None or document is None:
        return []

    found: Any = next((document[name] for name in _LISTS if document.get(name)), [])
    items = found if isinstance(found, list) else [found]
    later = last_items(body.tail) if body.truncated else []
    system = [_instructions(document[name]) for name in _SYSTEM if document.get(name)]
    said = [*system, *map(message_of, [*items, *later])]
    return [message for message in said if message.parts]


def _instructions(given: Any) -> Message:
    if isinstance(given, dict):
        content = given.get("parts", given)
    else:
        content = given
    return Message("system", tuple(parts_of(content)))


def last_items(tail: bytes) -> list[Any]:
    """Return the whole messages at the end of a document whose beginning is missing, in order.

    It is read backwards, from its last bracket, where no string can be open.
    """
    depth = 0
    end = 0
    items: list[Any] = []

    for at in _brackets_backwards(tail):
        if tail[at] in b"}]":
            depth += 1
            if depth == _LIST and not _are_messages(items):
                items = []
            end = at + 1 if depth == _ITEM else end
            continue

        if depth == _ITEM and tail[at] in b"{":
            items.append(read_json(tail[at:end]))
        depth -= 1

    return items[::-1] if _are_messages(items) else []


def _brackets_backwards(text: bytes) -> Iterator[int]:
    """Go through the places of brackets outside of strings, the last first."""
    backwards = text[::-1]
    is_in_string = False
    for sign in _SIGN.finditer(backwards):
        if sign[0] != b'"':
            if not is_in_string:
                yield len(text) - sign.end()
            continue

        escapes = _BACKSLASHES.match(backwards, sign.end())
        is_escaped = escapes is not None and len(escapes[0]) % 2 == 1
        is_in_string = is_escaped if is_in_string else True


def _are_messages(items: list[Any]) -> bool:
    return bool(items) and all(
        isinstance(item, dict) and ("role" in item or _OF_MESSAGE.search(str(item.get("type"))))
        for item in items
    )
