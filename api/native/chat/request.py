"""Reads the messages of a stored LLM request of any API.

A cut request gives the messages of its beginning, and whole ones of its end.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from api.native.chat.document import Path, read_json, request_in
from api.native.chat.message import Message, first_of, list_of, message_of, parts_of, text_of
from storage.record import Body

_SYSTEM: Final = ("system", "instructions", "systemInstruction", "system_instruction")
_LISTS: Final = ("messages", "contents", "input", "inputs", "prompt")
_LISTS_OF_PARTS: Final = ("content", "parts")
_SAID: Final = frozenset((
    "text", "content", "thinking", "input", "arguments", "output", "action", "summary", "tool_calls",
    "functionCall", "functionResponse", "executableCode", "codeExecutionResult",
))  # fmt: skip
"""Members with the text of a part."""
_TOOLS: Final = "additional_tools"
"""Type of the Codex item that offers tools."""
_OWN_KIND: Final = ("function", "custom", "namespace")
_BACKWARDS: Final = re.compile(rb'"[^"]*+(?:"(?=\\)[^"]*+)*+"?|[{}\[\]]')
"""A string or bracket of reversed JSON: only a quote inside a string has a backslash behind it."""
_OF_MESSAGE: Final = re.compile(
    r"message\Z|reasoning\Z|thought\Z|user_input\Z|model_output\Z|function_result\Z|_call\Z|_output\Z"
)
"""Suffix of the types of items without a role."""
_LIST, _ITEM = 2, 3
"""Depth of the list of messages in a request, and of each message."""


class Sent(msgspec.Struct, frozen=True):
    """The content of a request."""

    messages: list[Message]
    """Instructions first."""
    later: list[Message]
    """Messages after a gap."""
    tools: list[str]
    """The names of the tools on offer."""
    follows: str | None
    """Id of the response with which the provider keeps earlier messages."""
    is_cut: bool
    is_open: bool
    """Whether messages, or a part of one, are missing."""

    @property
    def all(self) -> list[Message]:
        return [*self.messages, *self.later]


def read_request(body: Body | None) -> Sent | None:
    """Read the body of a request to a model; None if it is not a request to a model."""
    found = request_in(body)
    if body is None or found is None:
        return None

    document, path = found
    name = next((name for name in _LISTS if document.get(name) is not None), None)
    items = _items_of(document[name]) if name is not None else []
    system = [member for member in _SYSTEM if document.get(member)]
    tools = _tools_of(document, items)
    if name is None and not system and not tools:
        return None

    said = [message_of(item) for item in items if not _offers_tools(item)]
    instructions = [_instructions(document[member]) for member in system]
    if body.truncated and path:
        if path[0] == name:
            _mark_cut(said, path[1:])
        elif system and path[0] == system[-1]:
            _mark_cut(instructions, path[1:])

    later = map(message_of, last_items(body.tail)) if body.truncated else ()
    return Sent(
        messages=[message for message in (*instructions, *said) if message.parts],
        later=[message for message in later if message.parts],
        tools=tools,
        follows=_followed(document),
        is_cut=body.truncated,
        is_open=body.truncated and (name is None or path[:1] == [name]),
    )


def _items_of(content: object) -> list[Any]:
    if isinstance(content, list):
        return content
    return [content]


def _instructions(given: Any) -> Message:
    content = given.get("parts", given) if isinstance(given, dict) else given
    return Message("system", tuple(parts_of(content)))


def _followed(document: dict[str, Any]) -> str | None:
    name = first_of(document, "previous_response_id", "previous_interaction_id")
    if isinstance(name, str):
        return name
    return None


def _offers_tools(item: object) -> bool:
    return isinstance(item, dict) and item.get("type") == _TOOLS


def _tools_of(document: dict[str, Any], items: Sequence[Any]) -> list[str]:
    offers = [document, document.get("toolConfig"), *filter(_offers_tools, items)]
    return [
        name
        for offer in offers
        if isinstance(offer, dict)
        for name in _tool_names(offer.get("tools"))
    ]


def _tool_names(tools: object) -> Iterator[str]:
    """Return the names of tools, including those in a namespace or list of declarations; a
    provider's tool is named by its kind.
    """
    for tool in list_of(tools):
        if not isinstance(tool, dict) or "cachePoint" in tool:
            continue
        inside = first_of(tool, "functionDeclarations", "function_declarations", "tools")
        if isinstance(inside, list):
            yield from _tool_names(inside)
            continue

        function = first_of(tool, "function", "toolSpec")
        named = function if isinstance(function, dict) else tool
        name = first_of(named, "name") or first_of(tool, "name", "server_label")
        kind = first_of(tool, "type")
        if name is not None:
            yield text_of(name)
        elif kind not in _OWN_KIND:
            # `{type: "web_search"}` of OpenAI, `{googleSearch: {}}` of Gemini.
            yield from [text_of(kind)] if kind is not None else list(tool)[:1]


def _mark_cut(messages: list[Message], path: Path) -> None:
    """Mark the last part as cut if `path` leads into its text."""
    if not messages or not messages[-1].parts:
        return
    inside = path[1:] if path and isinstance(path[0], int) else path
    if len(inside) > 1 and inside[0] in _LISTS_OF_PARTS and isinstance(inside[1], int):
        inside = inside[2:]
    if path and _SAID.isdisjoint(inside[:1]):
        return

    *before, last = messages[-1].parts
    cut = msgspec.structs.replace(last, is_cut=True)
    messages[-1] = Message(messages[-1].role, (*before, cut))


def last_items(tail: bytes) -> list[Any]:
    """Return the whole messages at the end of a document without its beginning, in order.

    The text is read backwards from its end.
    """
    depth = 0
    end = 0
    items: list[Any] = []

    for found in _BACKWARDS.finditer(tail[::-1]):
        at = len(tail) - found.end()
        if found[0] in b"}]":
            depth += 1
            if depth == _LIST and not _are_messages(items):
                items = []
            end = at + 1 if depth == _ITEM else end
            continue

        if found[0] in b"{[":
            if depth == _ITEM and found[0] == b"{":
                items.append(read_json(tail[at:end]))
            depth -= 1

    if _are_messages(items):
        return items[::-1]
    return []


def _are_messages(items: list[Any]) -> bool:
    return bool(items) and all(
        isinstance(item, dict) and ("role" in item or _OF_MESSAGE.search(str(item.get("type"))))
        for item in items
    )
