"""A record that a store refused, changed as little as needed for every store to take it.

Text that some store cannot hold is escaped reversibly: a backslash is doubled, NUL and lone surrogates are written as
`\\uXXXX`. Numbers of more than 64 bits become null, or the nearest number that fits where null is not allowed. Bodies
are left out, because what was refused may be in them.
"""

import math
import re
from typing import Any, Final

import msgspec

from storage.record import LEVELS, Body, Entry, Payload, Record, ToolCall

_MAX_INT: Final = (1 << 63) - 1
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_ESCAPED: Final = re.compile("[\0\ud800-\udfff\\\\]")
_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "level": ("error", *LEVELS),
    "kind": ("exchange", "event"),
    "shed": ("none", "tail", "bodies"),
}
"""Closed sets; the first word stands for any that is not in them."""
_NULLABLE: Final = frozenset(
    field.encode_name
    for field in msgspec.inspect.type_info(Record).fields  # type: ignore[attr-defined]
    if isinstance(field.type, msgspec.inspect.UnionType) and field.type.includes_none
)


def escape(entry: Entry) -> Entry:
    """Make a storable copy of an entry, under the same id."""
    values = {name: _storable(name, value) for name, value in msgspec.structs.asdict(entry.record).items()}
    payload = None if entry.payload is None else _without_bodies(entry.payload)
    return Entry(Record(**values), payload, [_escaped_call(call) for call in entry.tool_calls])


def escape_text(text: str) -> str:
    """Escape text when it holds NUL or a lone surrogate; other text is left alone."""
    if _UNSTORABLE.search(text) is None:
        return text
    return _ESCAPED.sub(lambda match: "\\\\" if match[0] == "\\" else f"\\u{ord(match[0]):04x}", text)


def _storable(name: str, value: Any) -> Any:
    if isinstance(value, str):
        words = _WORDS.get(name)
        return escape_text(value) if words is None or value in words else words[0]
    if isinstance(value, int):
        if -_MAX_INT <= value <= _MAX_INT:
            return value
        return None if name in _NULLABLE else max(-_MAX_INT, min(value, _MAX_INT))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return None if name == "stream" else value


def _escaped_call(call: ToolCall) -> ToolCall:
    """Keep a call without what was said in it; numbers that are none become the nearest that are."""
    changes: dict[str, Any] = {"arguments": None, "result": None, "error_details": None, "search": ""}
    for name, value in msgspec.structs.asdict(call).items():
        if isinstance(value, str) and name not in ("status", "search"):
            changes[name] = escape_text(value)
        elif isinstance(value, int):
            changes[name] = max(-_MAX_INT, min(value, _MAX_INT))
        elif isinstance(value, float) and not math.isfinite(value):
            changes[name] = 0.0
    return msgspec.structs.replace(call, **changes)


def _without_bodies(payload: Payload) -> Payload:
    request, response = _left_out(payload.request_body), _left_out(payload.response_body)
    return Payload(payload.request_head, payload.response_head, request, response)


def _left_out(body: Body | None) -> Body | None:
    if body is None:
        return None
    return Body(b"", b"", max(0, min(body.size, _MAX_INT)), True, None, "poison")
