"""One form for the messages of all LLM APIs: role and parts.

A part is a text, a thought, a tool call, a tool result, a text that a program inserted, or
something other than text. Bodies are untrusted input: an unknown form is left out or named, and
never an error.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

Kind = Literal["text", "thinking", "call", "result", "block", "other"]
Json = Mapping[str, Any]

_CALL: Final = re.compile(r"(?:_call|tool_use|function\.call)\Z")
_RESULT: Final = re.compile(r"(?:_output|tool_result|function[._]result)\Z")
_THOUGHTS: Final = ("thinking", "reasoning", "thought", "redacted_thinking")
_MADE: Final = (*_THOUGHTS, "item_reference", "compaction")
"""Types of items that a model produces."""
_UNNAMED: Final = ("", "message", "user_input", "model_output")
"""Types of a message that has its parts in `content`."""
_MODEL_OUTPUT: Final = "model_output"
_SIDES: Final = {"user_input": "user", _MODEL_OUTPUT: "assistant"}
"""Type of an item → its role."""
_MEDIA: Final = {
    "image": "image", "image_url": "image", "input_image": "image", "document": "file", "file": "file",
    "input_file": "file", "audio": "audio", "input_audio": "audio",
}  # fmt: skip
"""Type of a part → kind of media."""
_WRAPPED: Final = {
    "toolUse": "tool_use", "functionCall": "function_call", "toolResult": "tool_result",
    "functionResponse": "function_result",
}  # fmt: skip
"""Member that contains a part, as Bedrock and Gemini write it → the part's type."""
_GIVEN: Final = ("input", "arguments", "args", "action")
_RETURNED: Final = ("content", "output", "response", "result", "tools")
_IDS: Final = ("tool_use_id", "toolUseId", "tool_call_id", "call_id", "id")
_FAILED: Final = ("error", "failed")
_FAILED_CODE: Final = re.compile(r"FAILED|DEADLINE")
_ROLES: Final = {"model": "assistant", "developer": "system", "function": "tool"}


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part of a message."""

    kind: Kind
    text: str
    name: str = ""
    """Name of the tool, or of the inserted element."""
    id: str = ""
    """Id of a tool call, which its result repeats."""
    has_failed: bool = False
    """Whether a result says that the tool failed."""
    is_cut: bool = False
    """Whether its end was not kept."""


class Message(msgspec.Struct, frozen=True):
    """A message of one side."""

    role: str
    """`system`, `user`, `assistant` or `tool`, or what an API has beside these."""
    parts: tuple[Part, ...]


def message_of(item: object, role: str = "user") -> Message:
    """Read an item of a list of messages; `role` is the default role."""
    if not isinstance(item, dict):
        return Message(role, tuple(parts_of(item)))
    kind = _type_of(item)
    named = item.get("role")
    if isinstance(named, str):
        named = _ROLES.get(named, named)
    else:
        named = role
    if named == "tool":
        return Message(named, (_result(item, item.get("content")),))
    if _is_result(kind):
        return Message("tool", tuple(parts_of(item)))
    if _CALL.search(kind) or kind in _MADE or kind.startswith("mcp_"):
        return Message("assistant", tuple(parts_of(item)))

    content = first_of(item, "content", "parts")
    if content is None and kind not in _UNNAMED:
        content = item
    thought = first_of(item, "reasoning_content", "reasoning", "thinking")
    if thought and isinstance(thought, str):
        parts = [Part("thinking", thought)]
    else:
        parts = []
    parts += [*parts_of(content), *parts_of(list_of(item.get("tool_calls")))]
    is_of_tool = bool(parts) and all(part.kind == "result" for part in parts)
    return Message("tool" if is_of_tool else _SIDES.get(kind, named), tuple(parts))


def parts_of(content: object) -> Iterator[Part]:
    """Read a content, one part or a list of them, without empty texts."""
    for value in content if isinstance(content, list) else [content]:
        for part in _parts_in(value):
            if part.text or part.kind in ("call", "result"):
                yield part


def text_of(value: object) -> str:
    """Return a value as text: strings unchanged, others as JSON, None as an empty text."""
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return msgspec.json.encode(value).decode()
    except (RecursionError, msgspec.MsgspecError, ValueError):
        return ""


def first_of(value: Json, *names: str) -> Any:
    """Return the first non-null value among the named members of an object; None if all are null or
    missing.
    """
    return next((value[name] for name in names if value.get(name) is not None), None)


def list_of(value: object) -> list[Any]:
    if isinstance(value, list):
        return value
    return []


def summary_part(content: object) -> Part:
    """Return the part for a provider's summary that replaces earlier messages."""
    return Part("block", text_of(content), "compaction")


def result_inside(item: Json) -> Part | None:
    """Read the result of a tool that the provider called itself, which is in the item of the call."""
    given = first_of(item, "error", "output")
    if item.get("type") != "mcp_call" or given is None:
        return None
    has_failed = item.get("error") is not None
    return Part("result", text_of(given), text_of(item.get("name")), _id_of(item), has_failed)


def _parts_in(value: object) -> Iterator[Part]:
    if isinstance(value, str):
        yield Part("text", value)
    if not isinstance(value, dict):
        return

    yield part_of(value)
    result = result_inside(value)
    if result is not None:
        yield result


def part_of(value: Json) -> Part:
    """Convert one content part of a message, of any provider, to a `Part`."""
    wrapper = next((name for name in _WRAPPED if isinstance(value.get(name), dict)), None)
    if wrapper is not None:
        value = value[wrapper] | {"type": _WRAPPED[wrapper]}
    kind = _type_of(value)
    function = first_of(value, "function", "custom")
    if isinstance(function, dict):
        kind = "function_call"
        value = function | {"id": value.get("id")}
    if _CALL.search(kind):
        name = text_of(value.get("name")) or re.sub(r"_(?:call|tool_use)\Z", "", kind)
        given = first_of(value, *_GIVEN)
        return Part("call", text_of({} if given is None else given), name, _id_of(value))
    if _is_result(kind):
        return _result(value, first_of(value, *_RETURNED))
    if kind == "redacted_thinking":
        return Part("other", "thinking, encrypted by the provider")
    if kind in _THOUGHTS or value.get("thought") is True:
        return _thought(value)
    if kind == "compaction" and "content" in value:
        return summary_part(value["content"])
    return _executed(value) or _said(value, kind)


def _is_result(kind: str) -> bool:
    return kind != _MODEL_OUTPUT and _RESULT.search(kind) is not None


def _thought(value: Json) -> Part:
    """Read a thought: its text or its summary; None if it is encrypted."""
    text = text_of(first_of(value, "thinking", "text"))
    if not text:
        pieces = list_of(value.get("summary")) or list_of(value.get("content"))
        text = "\n\n".join(text_of(each.get("text")) for each in pieces if isinstance(each, dict))
    return Part("thinking", text)


def _executed(value: Json) -> Part | None:
    """Read Gemini's executed code; None for other parts."""
    code = value.get("executableCode")
    if isinstance(code, dict):
        return Part("call", text_of(code.get("code")), "code")
    outcome = value.get("codeExecutionResult")
    if isinstance(outcome, dict):
        has_failed = _FAILED_CODE.search(text_of(outcome.get("outcome"))) is not None
        return Part("result", text_of(outcome.get("output")), has_failed=has_failed)
    data = first_of(value, "inlineData", "fileData")
    if isinstance(data, dict):
        return _hidden(text_of(data.get("mimeType")) or "file")
    return None


def _said(value: Json, kind: str) -> Part:
    texts = (value.get(name) for name in ("text", "transcript", "refusal"))
    text = next((text for text in texts if isinstance(text, str)), None)
    if text is not None:
        return Part("text", text)
    if kind == "text" or kind.endswith("_text"):
        return Part("text", "")
    return _hidden(_MEDIA.get(kind, kind or "part"))


def _hidden(what: str) -> Part:
    return Part("other", f"{what}, not shown here")


def _result(value: Json, content: object) -> Part:
    inner = content if isinstance(content, dict) else {}
    has_error = inner.get("error") is not None or _type_of(inner).endswith("_error")
    has_failed = value.get("is_error") is True or value.get("status") in _FAILED or has_error
    return Part("result", _returned(content), text_of(value.get("name")), _id_of(value), has_failed)


def _returned(content: object) -> str:
    """Return a tool's result as one text."""
    if isinstance(content, list):
        return "\n".join(map(_piece_of, content))
    # Gemini wants an object, and most tools have but a text.
    if isinstance(content, dict) and list(content) == ["output"]:
        return text_of(content["output"])
    return text_of(content)


def _piece_of(piece: object) -> str:
    if not isinstance(piece, dict):
        return text_of(piece)
    if isinstance(piece.get("text"), str):
        return str(piece["text"])
    kind = _type_of(piece)
    if kind in _MEDIA:
        return _hidden(_MEDIA[kind]).text
    if kind == "web_search_result":
        return f"{text_of(piece.get('title'))}\n{text_of(piece.get('url'))}"
    return text_of(piece)


def _id_of(value: Json) -> str:
    return next((found for name in _IDS if isinstance(found := value.get(name), str)), "")


def _type_of(value: Json) -> str:
    kind = value.get("type")
    if isinstance(kind, str):
        return kind
    return ""
