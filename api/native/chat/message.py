"""A message as each API of a language model writes it, in one form: who says it, and its parts.
Pure.

A part is a text, a thought, the call of a tool, the result of one, or something that is no text.
Bodies are untrusted input: what has no known form is left out or named, and never an error. The UI
reads the same in `chat/parts.js`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec

Kind = Literal["text", "thinking", "call", "result", "other"]
Json = Mapping[str, Any]

_CALLS: Final = ("_call", "tool_use", "function.call")
_RESULTS: Final = ("_output", "tool_result", "function_result", "function.result")
"""Ends of the types of parts."""
_THOUGHTS: Final = ("thinking", "reasoning", "thought", "redacted_thinking")
_WRAPPED: Final = {
    "toolUse": "tool_use", "functionCall": "function_call", "toolResult": "tool_result",
    "functionResponse": "function_result",
}  # fmt: skip
"""Member that has a part inside, as Bedrock and Gemini write it → the type of that part."""
_IDS: Final = ("tool_use_id", "toolUseId", "tool_call_id", "call_id", "id")
_FAILED: Final = ("error", "failed")
_ROLES: Final = {"model": "assistant", "developer": "system", "function": "tool"}


class Part(NamedTuple):
    """One part of a message."""

    kind: Kind
    text: str
    name: str = ""
    """Of a tool."""
    id: str = ""
    """Of a call, by which its result names it."""
    has_failed: bool = False
    """Whether a result says that the tool failed."""


class Message(NamedTuple):
    role: str
    """`system`, `user`, `assistant` or `tool`, or what an API has beside these."""
    parts: tuple[Part, ...]


def message_of(item: object, role: str = "user") -> Message:
    """Read an item of a list of messages; `role` is that of one that names none."""
    if not isinstance(item, dict):
        return Message(role, tuple(parts_of(item)))
    kind = _type_of(item)
    named = item.get("role")
    named = _ROLES.get(named, named) if isinstance(named, str) else role
    if named == "tool":
        return Message(named, (_result(item, item.get("content")),))
    if kind.endswith(_RESULTS):
        return Message("tool", tuple(parts_of(item)))
    if kind.endswith(_CALLS) or kind in _THOUGHTS:
        return Message("assistant", tuple(parts_of(item)))

    content = item.get("content", item.get("parts", item if kind not in ("", "message") else None))
    thought = item.get("reasoning_content") or item.get("reasoning") or item.get("thinking")
    parts = [Part("thinking", thought)] if isinstance(thought, str) else []
    parts += [*parts_of(content), *parts_of(_list_of(item.get("tool_calls")))]
    is_of_tool = bool(parts) and all(part.kind == "result" for part in parts)
    return Message("tool" if is_of_tool else named, tuple(parts))


def parts_of(content: object) -> Iterator[Part]:
    """Read a content, which may be one part or a list of them; texts that are empty are left out."""
    for value in content if isinstance(content, list) else [content]:
        part = (
            Part("text", value)
            if isinstance(value, str)
            else _part_of(value)
            if isinstance(value, dict)
            else None
        )
        if part is not None and (part.text or part.kind in ("call", "result")):
            yield part


def text_of(value: object) -> str:
    """Write a value as text: texts as they are, others as JSON, none as nothing."""
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return msgspec.json.encode(value).decode()
    except (RecursionError, msgspec.MsgspecError, ValueError):
        return ""


def _part_of(value: Json) -> Part:
    wrapper = next((name for name in _WRAPPED if isinstance(value.get(name), dict)), None)
    if wrapper is not None:
        value = value[wrapper] | {"type": _WRAPPED[wrapper]}
    kind = _type_of(value)
    function = value.get("function")
    if isinstance(function, dict):
        kind = "function_call"
        value = function | {"id": value.get("id")}
    if kind.endswith(_CALLS):
        given = next(
            (value[name] for name in ("input", "arguments", "args", "action") if name in value),
            None,
        )
        return Part("call", text_of(given), text_of(value.get("name")) or kind, _id_of(value))
    if kind.endswith(_RESULTS):
        given = (
            value[name] for name in ("content", "output", "response", "result") if name in value
        )
        return _result(value, next(given, None))
    if kind in _THOUGHTS or value.get("thought") is True:
        summary = [
            text_of(each.get("text"))
            for each in _list_of(value.get("summary"))
            if isinstance(each, dict)
        ]
        return Part(
            "thinking", text_of(value.get("thinking") or value.get("text")) or "\n".join(summary)
        )

    said = (
        value[name]
        for name in ("text", "transcript", "refusal")
        if isinstance(value.get(name), str)
    )
    text = next(said, None)
    if text is None:
        return Part("other", f"({kind or 'part'}, not shown)")

    return Part("text", text)


def _result(value: Json, content: object) -> Part:
    inner = content if isinstance(content, dict) else {}
    has_error = inner.get("error") is not None or _type_of(inner).endswith("_error")
    has_failed = value.get("is_error") is True or value.get("status") in _FAILED or has_error
    shown = (
        "\n".join(part.text for part in parts_of(content))
        if isinstance(content, list)
        else text_of(content)
    )
    return Part("result", shown, text_of(value.get("name")), _id_of(value), has_failed)


def _id_of(value: Json) -> str:
    return next((found for name in _IDS if isinstance(found := value.get(name), str)), "")


def _type_of(value: Json) -> str:
    kind = value.get("type")
    return kind if isinstance(kind, str) else ""


def _list_of(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
