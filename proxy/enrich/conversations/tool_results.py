"""Find the tools that failed, from the tool results that a request sends to the model.

Clients send the whole history with every call. So only results after the model's last message
count, and each failure belongs to the first call that reports it. A result names its call by id;
the tool's name comes from that call if it is in the history.

Shapes: `tool_result` (Anthropic), `toolResult` (Bedrock), `functionResponse` with an `error`
(Gemini), `function_result` (its interactions), items that end in `_output` (Responses), messages of
the role `tool` (chat).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from proxy.enrich.conversations.history import is_spoken, messages_of
from proxy.enrich.formats.json_parts import Member, decode, text_of
from proxy.enrich.formats.linear_patterns import compile_bytes
from storage.tools import FailedTool

MAX_FAILED: Final = 32
"""Failed tools kept per call."""
MAX_SAID_CHARACTERS: Final = 500
"""Characters kept of each tool's message."""
UNKNOWN: Final = "unknown"
"""Name of a tool whose call is not in the history."""
_HISTORIES: Final = ("messages", "contents", "input", "request")
_MAY_FAIL: Final = compile_bytes(
    rb'"is_error"\s*:\s*true|"success"\s*:\s*false|"status"\s*:\s*"(?:error|failed|incomplete)"|"functionResponse"'
)
_FAILED: Final = ("error", "failed", "incomplete")
_MAX_BACK: Final = 64
"""Messages before the results that are searched for their calls."""
_IDS: Final = ("tool_use_id", "toolUseId", "tool_call_id", "call_id", "id")
_ANY: Final = msgspec.json.Decoder(dict[str, Any])

Block = Mapping[str, Any]


def failed_tools(members: Mapping[str, Member], *, has_input: bool) -> list[FailedTool]:
    """Return the failed tools of the newest results, one entry per failure.

    `has_input` as in `messages_of`.
    """
    if not any(_MAY_FAIL.search(bytes(members[name])) for name in _HISTORIES if name in members):
        return []
    messages = messages_of(members, has_input=has_input)
    start = len(messages)
    newest: list[Block] = []
    while start and not _is_spoken(message := decode(_ANY, messages[start - 1]) or {}):
        newest.append(message)
        start -= 1
    failed = [
        block for message in reversed(newest) for block in _blocks(message) if _has_failed(block)
    ]
    if not failed:
        return []

    names = _names_of(messages[max(0, start - _MAX_BACK) : start])
    return [FailedTool(_named(block, names), _said(block), True) for block in failed[:MAX_FAILED]]


def _is_spoken(message: Block) -> bool:
    return is_spoken(message.get("role"), message.get("type"))


def _blocks(message: Block) -> Iterator[Block]:
    """Yield the parts of a message, each as its result or call. A message may be a part itself."""
    yield message
    for name in ("content", "parts", "tool_calls"):
        parts = message.get(name)
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                inner = (
                    part.get(each)
                    for each in ("toolResult", "functionResponse", "toolUse", "function")
                )
                yield part | next((found for found in inner if isinstance(found, dict)), {})


def _has_failed(block: Block) -> bool:
    kind = text_of(block.get("type")) or ""
    role = block.get("role")
    if "functionResponse" in block:
        response = block.get("response")
    else:
        response = None
    if isinstance(response, dict):
        return response.get("error") is not None

    is_result = (
        kind.endswith(("tool_result", "function_result", "_output"))
        or role == "tool"
        or "toolResult" in block
    )
    output = block.get("output")
    is_refused = isinstance(output, dict) and output.get("success") is False
    return is_result and (
        block.get("is_error") is True or block.get("status") in _FAILED or is_refused
    )


def _names_of(messages: Sequence[bytes]) -> dict[str, str]:
    """Return the names of the called tools by the ids of the calls."""
    names: dict[str, str] = {}
    for raw in messages:
        message: dict[str, Any] = decode(_ANY, raw) or {}
        for block in _blocks(message):
            if (name := text_of(block.get("name"))) is not None:
                names.update((each, name) for each in _ids_of(block))

    return names


def _named(block: Block, names: Mapping[str, str]) -> str:
    known = (names[each] for each in _ids_of(block) if each in names)
    return text_of(block.get("name")) or next(known, UNKNOWN)


def _said(block: Block) -> str:
    """Return the first text of a result, from any API."""
    response = block.get("response")
    given = [
        block.get("content"),
        block.get("output"),
        response.get("error") if isinstance(response, dict) else None,
    ]
    while given:
        first = given.pop(0)
        if isinstance(first, str) and first:
            return first[:MAX_SAID_CHARACTERS]
        if isinstance(first, list):
            given[:0] = first[:MAX_FAILED]
        elif isinstance(first, dict):
            given[:0] = [first.get(name) for name in ("text", "message", "content")]

    return ""


def _ids_of(block: Block) -> Iterator[str]:
    return (found for name in _IDS if isinstance(found := block.get(name), str) and found)
