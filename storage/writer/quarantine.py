"""Handle a record that the store refused: escape it so that every store takes it, and quarantine it
if that is refused too.

An escaped record is changed as little as possible. Text is escaped reversibly: a backslash is
doubled, NUL and lone surrogates are written as `\\uXXXX`. Numbers of more than 64 bits become null,
or the nearest number that fits where null is not allowed. Bodies are left out, because they may
hold the refused value.
"""

import logging
import math
import re
from pathlib import Path
from typing import Any, Final

import msgspec

from storage.errors import StorageRejected
from storage.record import LEVELS, Body, Entry, Payload, Record, ToolCall, format_id
from storage.redactions import bounded

log = logging.getLogger(__name__)

_MAX_INT: Final = (1 << 63) - 1
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_ESCAPED: Final = re.compile("[\0\ud800-\udfff\\\\]")
_ENUMS: Final[dict[str, tuple[str, ...]]] = {
    "level": ("error", *LEVELS),
    "kind": ("exchange", "event"),
    "shed": ("none", "tail", "bodies"),
}
"""Enumerated fields with their values; the first value replaces an invalid one."""
_NULLABLE: Final = frozenset(
    field.encode_name
    for field in msgspec.inspect.type_info(Record).fields  # type: ignore[attr-defined]
    if isinstance(field.type, msgspec.inspect.UnionType) and field.type.includes_none
)


def escape(entry: Entry) -> Entry:
    values = {
        name: _storable(name, value) for name, value in msgspec.structs.asdict(entry.record).items()
    }
    if entry.payload is None:
        payload = None
    else:
        payload = _without_bodies(entry.payload)
    return Entry(
        Record(**values), payload, [_escaped_call(call) for call in entry.tool_calls], entry.jobs
    )


def escape_text(text: str) -> str:
    """Escape a text that holds NUL or a lone surrogate; other texts are returned unchanged."""
    if _UNSTORABLE.search(text) is None:
        return text
    return _ESCAPED.sub(
        lambda match: "\\\\" if match[0] == "\\" else f"\\u{ord(match[0]):04x}", text
    )


def quarantine(directory: Path, entry: Entry, error: StorageRejected) -> None:
    """Write a record to a file of its own; if that fails, the record is only logged."""
    path = directory / f"{entry.record.id.hex()}.msgpack"
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_bytes(msgspec.msgpack.encode(entry))
    except (OSError, ValueError, TypeError, OverflowError) as failure:
        log.error(
            "record %s was refused (%s) and could not be kept: %s",
            entry.record.id.hex(),
            error,
            failure,
        )
    else:
        log.error(
            "record %s was refused (%s) and is kept in %s", format_id(entry.record.id), error, path
        )


def _storable(name: str, value: Any) -> Any:
    if isinstance(value, str):
        allowed = _ENUMS.get(name)
        if allowed is None or value in allowed:
            return escape_text(value)
        return allowed[0]

    if isinstance(value, int):
        if -_MAX_INT <= value <= _MAX_INT:
            return value
        if name in _NULLABLE:
            return None
        return max(-_MAX_INT, min(value, _MAX_INT))

    if isinstance(value, float) and not math.isfinite(value):
        return None
    if name == "redactions" and value:
        return {
            each: max(-_MAX_INT, min(count, _MAX_INT))
            for each, count in (bounded(value) or {}).items()
        }

    if name == "stream":
        return None
    return value


def _escaped_call(call: ToolCall) -> ToolCall:
    """Return a call without its contents; numbers out of range become the nearest valid ones."""
    changes: dict[str, Any] = {
        "arguments": None,
        "result": None,
        "error_details": None,
        "search": "",
    }
    for name, value in msgspec.structs.asdict(call).items():
        if isinstance(value, str) and name not in ("status", "search"):
            changes[name] = escape_text(value)
        elif isinstance(value, int):
            changes[name] = max(-_MAX_INT, min(value, _MAX_INT))
        elif isinstance(value, float) and not math.isfinite(value):
            changes[name] = 0.0

    return msgspec.structs.replace(call, **changes)


def _without_bodies(payload: Payload) -> Payload:
    request = _omitted(payload.request_body)
    response = _omitted(payload.response_body)
    return msgspec.structs.replace(
        payload, request_body=request, response_body=response, timeline=[]
    )


def _omitted(body: Body | None) -> Body | None:
    if body is None:
        return None
    return Body(b"", b"", max(0, min(body.size, _MAX_INT)), True, None, "poison")
