"""What a search looks at: a record with its heads, bodies and tool calls, and the values of its fields.

A payload that is not there (any more) has no headers and no body fields. Numbers of an exchange that has not ended are
not known yet.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from storage.record import Body, Payload, Record, format_id
from storage.search.searched_text import SearchedText

Number = int | float

MAX_JSON_DEPTH: Final = 32
"""How deep a search looks into a body: members, and lists within each other."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One record, with everything of it that a reader may see."""

    record: Record
    payload: Payload | None = None
    tools: tuple[str, ...] = ()
    """Names of the MCP tools it called."""
    searched: dict[str, SearchedText] = field(default_factory=dict, init=False, compare=False, repr=False)
    """Texts that words were looked for in."""


def texts_of(subject: Subject, field: str) -> Iterable[str]:
    """Return the texts that a field has, none when it is not known."""
    name, _, key = field.partition(".")
    if name in _KEYED:
        return () if subject.payload is None else _KEYED[name](subject.payload, key)
    if name in _DERIVED:
        return _DERIVED[name](subject)
    value = getattr(subject.record, name)
    return () if value is None else (str(value),)


def numbers_of(subject: Subject, field: str) -> Iterable[Number]:
    """Return the numbers that a field has, none when it is not known."""
    record = subject.record
    if field.startswith(("body.", "request_body.", "response_body.")):
        texts = texts_of(subject, field)
        return (number for text in texts if (number := _number(text)) is not None)
    if field == "bytes":
        return (record.request_bytes + record.response_bytes,)
    if field == "tokens":
        known = [count for count in (record.input_tokens, record.output_tokens) if count is not None]
        return (sum(known),) if known else ()
    if field == "duration_us" and not record.seq:
        return ()  # in flight
    value = getattr(record, field)
    return () if value is None else (value,)


def header_values(head: bytes, name: str) -> Iterator[str]:
    """Find the values of a header in a stored head; its name in lower case."""
    wanted = name.encode()
    for line in head.replace(b"\r\n", b"\n").split(b"\n")[1:]:
        found, colon, value = line.partition(b":")
        if colon and found.strip().lower() == wanted:
            yield readable(value.strip(b" \t"))


def readable(raw: bytes) -> str:
    """Decode UTF-8; other octets as Latin-1, which keeps each of them (RFC 9110 §5.5)."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def body_values(body: Body | None, path: str) -> Iterator[str]:
    """Find the scalars at a path in a JSON body that was kept whole; a list stands for each of its items."""
    if body is None or body.truncated or not body.head:
        return
    try:
        document = orjson.loads(body.head)
    except orjson.JSONDecodeError:
        return
    for value in values_at(document, path.split(".")):
        yield from _scalars(value, MAX_JSON_DEPTH)


def values_at(value: Any, path: Sequence[str], depth: int = MAX_JSON_DEPTH) -> Iterator[Any]:
    """Find the values at a path; on the way, a list without a number in the path stands for each of its items."""
    if not path:
        yield value
    elif not depth:
        return
    elif isinstance(value, dict):
        if path[0] in value:
            yield from values_at(value[path[0]], path[1:], depth - 1)
    elif isinstance(value, list):
        if path[0].isdecimal():
            if len(path[0]) < 7 and int(path[0]) < len(value):
                yield from values_at(value[int(path[0])], path[1:], depth - 1)
            return
        for item in value:
            yield from values_at(item, path, depth - 1)


def _scalars(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, bool | int | float):
        yield orjson.dumps(value).decode()
    elif isinstance(value, list) and depth:
        for item in value:
            yield from _scalars(item, depth - 1)


def _conversation_of(record: Record) -> list[str]:
    return [] if record.conversation is None else [format_id(record.conversation)]


def _known(*texts: str | None) -> list[str]:
    return [text for text in texts if text is not None]


def _output_of(subject: Subject) -> tuple[Sequence[str], Sequence[str]]:
    """Return why the output of an LLM call ended, and the tools that it called."""
    stream = subject.record.stream
    if stream is None:
        return (), ()
    return _known(stream.finish_reason), stream.tools or ()


def _number(text: str) -> Number | None:
    try:
        return float(text)
    except ValueError:
        return None


def _both(payload: Payload, name: str) -> Iterator[str]:
    yield from header_values(payload.request_head, name)
    yield from header_values(payload.response_head, name)


def _in_bodies(payload: Payload, path: str) -> Iterator[str]:
    yield from body_values(payload.request_body, path)
    yield from body_values(payload.response_body, path)


_KEYED: Final[Mapping[str, Callable[[Payload, str], Iterable[str]]]] = {
    "header": _both,
    "request_header": lambda payload, name: header_values(payload.request_head, name),
    "response_header": lambda payload, name: header_values(payload.response_head, name),
    "body": _in_bodies,
    "request_body": lambda payload, path: body_values(payload.request_body, path),
    "response_body": lambda payload, path: body_values(payload.response_body, path),
}
"""Fields that go on with a name of their own → how they are read."""
_DERIVED: Final[Mapping[str, Callable[[Subject], Iterable[str]]]] = {
    "id": lambda subject: (format_id(subject.record.id),),
    "conversation": lambda subject: _conversation_of(subject.record),
    "any_model": lambda subject: _known(subject.record.model, subject.record.resolved_model),
    "finish_reason": lambda subject: _output_of(subject)[0],
    "called_tool": lambda subject: _output_of(subject)[1],
    "tool": lambda subject: subject.tools,
}
