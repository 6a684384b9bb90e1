"""The record that a search looks at, with its heads, bodies and tool calls, and the values of its
fields.

Without a stored payload there are no headers and no body fields. An exchange that is still running
has no durations yet.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from storage.json_text import read_json, write_scalar
from storage.record import Body, Payload, Record, format_id
from storage.search.phrase import SearchedText

_WHOLE: Final = re.compile(r"-?[0-9]{1,40}")
"""Integers are read without rounding, since ids have more digits than floating point."""
Number = int | float

_QUOTED: Final = re.compile(r'"((?:[^"\\]++|\\.)*+)"(?=\.|\Z)', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_MAX_JOINED: Final = 8
"""Most steps of a path that may be one member name with dots."""
MAX_JSON_DEPTH: Final = 32
"""Levels of nesting that a search reads in a body."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One record, with everything that a reader may see of it."""

    record: Record
    payload: Payload | None = None
    tools: tuple[str, ...] = ()
    """Names of the MCP tools it called."""
    searched: dict[str, SearchedText] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )
    """Cache of the searched texts."""
    documents: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)
    """Cache of parsed bodies: a page with a hundred fields of 300 KB a record takes 0.7 instead of
    11 s.
    """
    read: dict[str, tuple[str, ...]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )
    """Cache of the texts of header and body fields: a search may name up to a hundred values of one
    field.
    """


Reader = Callable[[Subject, Payload, str], tuple[str, ...]]
"""Returns the texts of a field, given the part of its name after the first dot."""


def texts_of(subject: Subject, field: str) -> Iterable[str]:
    """Return the texts of a field; empty if it has no value."""
    name, _, key = field.partition(".")
    if name in _KEYED:
        found = subject.read.get(field)
        if found is None:
            found = subject.read[field] = (
                () if subject.payload is None else _KEYED[name](subject, subject.payload, key)
            )
        return found

    if name in _DERIVED:
        return _DERIVED[name](subject)

    value = getattr(subject.record, name)
    if value is None:
        return ()
    return (str(value),)


def numbers_of(subject: Subject, field: str) -> Iterable[Number]:
    """Return the numbers of a field; empty if it has no value."""
    record = subject.record
    if field.partition(".")[0] in BODY_SIDES:
        texts = texts_of(subject, field)
        return (number for text in texts if (number := _number(text)) is not None)
    if field == "bytes":
        return (record.request_bytes + record.response_bytes,)
    if field == "tokens":
        known = [
            count for count in (record.input_tokens, record.output_tokens) if count is not None
        ]
        if known:
            return (sum(known),)
        return ()
    if field == "duration_us" and record.is_in_flight:
        return ()

    value = getattr(record, field)
    if value is None:
        return ()
    return (value,)


def header_values(head: bytes, name: str) -> Iterator[str]:
    """Yield the values of a header in a stored head; `name` is in lower case."""
    wanted = name.encode()
    for line in head.replace(b"\r\n", b"\n").split(b"\n")[1:]:
        field = split_line(line)
        if field is not None and field[0].strip().lower() == wanted:
            yield readable(field[1].strip(b" \t"))


def split_line(line: bytes) -> tuple[bytes, bytes] | None:
    """Split a line of a head into name and value; None without a colon, apart from the one that
    begins a pseudo-field.
    """
    at = line.find(b":", 1)
    if at < 0:
        at = line.find(b":")
    if at < 0:
        return None
    return (line[:at], line[at + 1 :])


def readable(raw: bytes) -> str:
    """Decode UTF-8; if invalid, decode Latin-1, so that every octet is kept (RFC 9110 §5.5)."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def has_text(subject: Subject, field: str) -> bool:
    """Whether a text field has a value; the value of a path in a body may be an object."""
    name, _, path = field.partition(".")
    if name in BODY_SIDES and subject.payload is not None:
        values = _values_in(subject, subject.payload, BODY_SIDES[name], path)
        return any(_is_something(value, MAX_JSON_DEPTH) for value in values)
    return any(True for _ in texts_of(subject, field))


def _values_in(
    subject: Subject, payload: Payload, sides: Iterable[str], path: str
) -> Iterator[Any]:
    """Yield the values at a path in JSON bodies that were kept whole."""
    for side in sides:
        if side not in subject.documents:
            subject.documents[side] = _document(getattr(payload, side))
        yield from values_at(subject.documents[side], steps_of(path))


def _document(body: Body | None) -> Any:
    """Parse a body; None, a document without values, if it is not JSON or incomplete."""
    if body is None or body.truncated or not body.head:
        return None
    try:
        return read_json(body.head)
    except ValueError:
        return None


def steps_of(path: str) -> Sequence[str]:
    """Split a path at its dots into member names; a quoted name may have dots itself."""
    if '"' not in path:
        return path.split(".")

    steps: list[str] = []
    at = 0
    while at <= len(path):
        quoted = _QUOTED.match(path, at)
        if quoted is not None:
            steps.append(_ESCAPED.sub(r"\1", quoted[1]))
            at = quoted.end() + 1
        else:
            stop = path.find(".", at)
            stop = len(path) if stop < 0 else stop
            steps.append(path[at:stop])
            at = stop + 1

    return steps


def values_at(value: Any, path: Sequence[str], depth: int = MAX_JSON_DEPTH) -> Iterator[Any]:
    """Yield the values at a path. A list without an index in the path stands for each of its items.

    Where a member is missing, steps are joined with dots, as the name itself may have dots.
    """
    if not path:
        yield value
    elif not depth:
        return
    elif isinstance(value, dict):
        yield from _values_in_object(value, path, depth)
    elif isinstance(value, list):
        if path[0].isdecimal():
            if len(path[0]) < 7 and int(path[0]) < len(value):
                yield from values_at(value[int(path[0])], path[1:], depth - 1)
            return

        names = {name for _, name in _names(path)}
        for item in value:  # ten times as fast as a call per item: a list may have 40 000 numbers
            if (isinstance(item, dict) and not names.isdisjoint(item)) or isinstance(item, list):
                yield from values_at(item, path, depth - 1)


def _values_in_object(value: Mapping[str, Any], path: Sequence[str], depth: int) -> Iterator[Any]:
    is_found = False
    for count, name in _names(path):
        if name in value:
            for found in values_at(value[name], path[count:], depth - 1):
                is_found = True
                yield found
        if is_found:
            return


def _names(path: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the member names that a path may begin with, each with its number of steps, shortest
    first.
    """
    name = ""
    for count, step in enumerate(path[:_MAX_JOINED], 1):
        name = f"{name}.{step}" if name or count > 1 else step
        yield count, name


def _is_something(value: Any, depth: int) -> bool:
    if isinstance(value, list):
        return depth > 0 and any(_is_something(item, depth - 1) for item in value)
    return value is not None


def _scalars(value: Any, depth: int) -> Iterator[str]:
    """Yield a scalar as text; a list stands for each of its items."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bool | int | float):
        yield write_scalar(value)
    elif isinstance(value, list) and depth:
        for item in value:
            yield from _scalars(item, depth - 1)


def _conversation_of(record: Record) -> list[str]:
    if record.conversation is None:
        return []
    return [format_id(record.conversation)]


def _known(*texts: str | None) -> list[str]:
    return [text for text in texts if text is not None]


def _output_of(subject: Subject) -> tuple[Sequence[str], Sequence[str]]:
    """Return the finish reason of an LLM call, and the tools that it called."""
    stream = subject.record.stream
    if stream is None:
        return (), ()
    return _known(stream.finish_reason), stream.tools or ()


def _number(text: str) -> Number | None:
    try:
        if _WHOLE.fullmatch(text) is not None:
            return int(text)
        return float(text)
    except ValueError:
        return None


def _in_heads(*sides: str) -> Reader:
    def read(subject: Subject, payload: Payload, name: str) -> tuple[str, ...]:
        return tuple(
            value for side in sides for value in header_values(getattr(payload, side), name)
        )

    return read


def _in_bodies(sides: Iterable[str]) -> Reader:
    def read(subject: Subject, payload: Payload, path: str) -> tuple[str, ...]:
        values = _values_in(subject, payload, sides, path)
        return tuple(text for value in values for text in _scalars(value, MAX_JSON_DEPTH))

    return read


BODY_SIDES: Final[Mapping[str, tuple[str, ...]]] = {
    "body": ("request_body", "response_body"),
    "request_body": ("request_body",),
    "response_body": ("response_body",),
}
"""Each of `BODY_FIELDS` → the bodies that it reads."""
_KEYED: Final[Mapping[str, Reader]] = {
    "header": _in_heads("request_head", "response_head"),
    "request_header": _in_heads("request_head"),
    "response_header": _in_heads("response_head"),
    **{name: _in_bodies(sides) for name, sides in BODY_SIDES.items()},
}
"""Fields with a key after the dot → reader of their texts."""
_DERIVED: Final[Mapping[str, Callable[[Subject], Iterable[str]]]] = {
    "id": lambda subject: (format_id(subject.record.id),),
    "conversation": lambda subject: _conversation_of(subject.record),
    "any_model": lambda subject: _known(subject.record.model, subject.record.resolved_model),
    "grpc_status": lambda subject: (
        () if (grpc := subject.record.grpc) is None else _known(grpc.status_name)
    ),
    "finish_reason": lambda subject: _output_of(subject)[0],
    "called_tool": lambda subject: _output_of(subject)[1],
    "tool_error": lambda subject: (
        () if (stream := subject.record.stream) is None else stream.failed_tools or ()
    ),
    "redacted": lambda subject: subject.record.redactions or (),
    "tool": lambda subject: subject.tools,
    "keyed": lambda subject: ("true",) if subject.record.keyed else (),
}
