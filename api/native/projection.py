"""A stored record as the native API shows it: every field under its own name, times also as ISO.

Pure. Bodies are text or base64. Nothing is invented: what is not known is null, and an exchange in
flight has neither end nor duration.
"""

import base64
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson

from api.http.times import format_time_or_none
from storage.failure_message import error_message
from storage.record import Body, Payload, Record, Stream, format_id
from storage.search.subject import readable, split_line

TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A method, or the name of a field (RFC 9110 §5.6.2)."""
_NO_STREAM: Final = Stream(None, None, None, finished=False)
_UTF8_EDGE_BYTES: Final = 3
"""A window may cut a UTF-8 character: at most this many bytes of it stand at the edge."""


def record_json(record: Record) -> dict[str, object]:
    """Show a record's own fields, without its payload."""
    shown: dict[str, object] = msgspec.structs.asdict(record)
    shown["id"] = format_id(record.id)
    shown["data"] = read_json(record.data)
    shown["conversation"] = None if record.conversation is None else format_id(record.conversation)
    del shown["marks"]
    shown["in_flight"] = record.is_in_flight
    stream = record.stream or _NO_STREAM
    shown["finish_reason"] = stream.finish_reason
    shown["called_tools"] = stream.tools
    shown["failed_tools"] = stream.failed_tools
    shown["begun_by"] = stream.begun_by
    shown["grpc"] = None if record.grpc is None else msgspec.structs.asdict(record.grpc)
    shown["grpc_status"] = None if record.grpc is None else record.grpc.status_name
    shown["has_messages"] = record.has_messages
    if stream.is_document:
        shown["stream"] = None
    if record.is_in_flight:
        shown.update(seq=None, ended_at_us=None, duration_us=None)
    for name in ("started_at", "ended_at", "upstream_sent_at", "upstream_done_at"):
        moment = shown[name + "_us"]
        shown[name] = format_time_or_none(moment if isinstance(moment, int) else None)
    return shown


def usage_json(record: Record) -> dict[str, object] | None:
    """Show usage and cost of an LLM call; None for other exchanges."""
    if record.usage_state is None:
        return None
    names = (
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
    )
    shown: dict[str, object] = {name: getattr(record, name) for name in names}
    shown |= {
        "state": record.usage_state,
        "cost_usd": record.cost_usd,
        "price_source": record.price_source,
    }
    stream = record.stream or _NO_STREAM
    return shown | {
        "meters": stream.meters or {},
        "service_tier": stream.service_tier,
        "cost_lacks": stream.cost_lacks or [],
    }


def detail_json(record: Record, payload: Payload | None) -> dict[str, object]:
    """Show a record with heads and bodies; those are null when nothing of them is stored."""
    shown = record_json(record)
    shown["request"] = shown["response"] = None
    shown["error_message"] = error_message(record, payload)
    shown["timeline"] = []

    if payload is not None:
        shown["request"] = message_json(
            payload.request_head, payload.request_body, payload.request_trailers
        )
        shown["response"] = message_json(
            payload.response_head, payload.response_body, payload.response_trailers
        )
        shown["timeline"] = payload.timeline

    return shown


def message_json(head: bytes, body: Body | None, trailers: bytes) -> dict[str, object]:
    """Show one half of an exchange: start line, headers as [name, value] in their order, body,
    trailers.

    Lines that are not UTF-8 are shown as Latin-1. `latin1_lines` has their numbers; the start line
    is 0.
    """
    start_line, headers = split_head(head)
    shown: dict[str, object] = {
        "start_line": start_line,
        "headers": headers,
        "body": None if body is None else body_json(body),
        "trailers": split_fields(trailers),
    }
    if latin1_lines := latin1_lines_of(head):
        shown["latin1_lines"] = latin1_lines
    return shown


def split_head(
    head: bytes, text_of: Callable[[bytes], str] = readable
) -> tuple[str | None, list[list[str]]]:
    """Cut a stored head into its start line and [name, value] pairs; repeated headers stay apart."""
    lines = _lines_of(head)
    if lines:
        return (text_of(lines[0]), _fields(lines[1:], text_of))
    return (None, [])


def latin1_lines_of(head: bytes) -> list[int]:
    """Number the lines of a stored head whose text, or value, is no UTF-8."""
    if is_utf8(head):
        return []
    lines = _lines_of(head)
    values = [value for _, value in (split_line(line) or (line, b"") for line in lines[1:])]
    return [number for number, value in enumerate([lines[0], *values]) if not is_utf8(value)]


def is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def exact_text(raw: bytes) -> str:
    """Decode so that nothing is lost: UTF-8, with a surrogate for each other octet (PEP 383)."""
    return raw.decode("utf-8", "surrogateescape")


def octets_of(text: str) -> bytes:
    """Encode an `exact_text`; surrogates that stand for no octet become question marks."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode(errors="replace")


def exact_target(line: str | None) -> str | None:
    """Return the path and query of a request line with octets beyond ASCII, which are escaped in
    the record's own.
    """
    if line is None or line.isascii():
        target = ""
    else:
        target = line.partition(" ")[2].rpartition(" ")[0]
    if target.startswith("/"):
        return target
    return None


def exact_head(message: Mapping[str, Any]) -> tuple[str | None, list[tuple[str, str]]]:
    """Return start line and headers of half an exchange as it is shown, each as `exact_text`.

    Raises:
        ValueError: a line is said to be of Latin-1, and has other characters.
    """
    line = message.get("start_line")
    headers = [(name, value) for name, value in message["headers"]]
    for number in message.get("latin1_lines", ()):
        if number == 0:
            line = exact_text((line or "").encode("latin-1"))
        elif 0 < number <= len(headers):
            name, value = headers[number - 1]
            headers[number - 1] = name, exact_text(value.encode("latin-1"))

    return line, headers


def field_of(head: bytes, name: str) -> str:
    """Return the first value of a field of a stored head, by its lower-case name; empty when it is
    not there.
    """
    return value_of(split_head(head)[1], name)


def value_of(fields: Iterable[Sequence[str]], name: str) -> str:
    """Return the first value of a field by its lower-case name; empty when it is not there."""
    return next((value for known, value in fields if known.lower() == name), "")


def split_fields(lines: bytes, text_of: Callable[[bytes], str] = readable) -> list[list[str]]:
    """Cut stored field lines into [name, value] pairs; repeated ones stay apart."""
    return _fields(_lines_of(lines), text_of)


def _lines_of(stored: bytes) -> list[bytes]:
    return [line for line in stored.replace(b"\r\n", b"\n").split(b"\n") if line]


def _fields(lines: list[bytes], text_of: Callable[[bytes], str]) -> list[list[str]]:
    fields = (split_line(line) or (line, b"") for line in lines)
    return [[text_of(name), text_of(value.strip(b" \t"))] for name, value in fields]


def body_json(body: Body) -> dict[str, object]:
    """Show one body: its windows as text when they are UTF-8, else in base64, and its true size on
    the wire.

    When it is `truncated`, bytes are missing between the first `head_bytes` and the last
    `tail_bytes`.
    """
    encoding, head, tail = encode_windows(body)
    return {
        "encoding": encoding,
        "head": head,
        "tail": tail,
        "head_bytes": len(body.head),
        "tail_bytes": len(body.tail),
        "size": body.size,
        "truncated": body.truncated,
        "coding": body.coding,
        "omitted": body.omitted,
        "coding_error": body.coding_error,
        "charset": body.charset,
    }


def encode_windows(body: Body) -> tuple[str, str, str]:
    """Write both windows of a body alike.

    Returns:
        `utf-8` or `base64`, then head and tail in it. A character that a window's edge cuts is left out of the text.
    """
    head = decode_window(body.head, cut_end=body.truncated)
    tail = decode_window(body.tail, cut_start=body.truncated)
    if head is None or tail is None:
        return "base64", base64.b64encode(body.head).decode(), base64.b64encode(body.tail).decode()
    return "utf-8", head, tail


def decode_window(window: bytes, *, cut_start: bool = False, cut_end: bool = False) -> str | None:
    """Decode UTF-8, forgiving a character that is cut at an edge which is one; None when it is not
    text.
    """
    start = 0
    if cut_start:
        while start < min(_UTF8_EDGE_BYTES, len(window)) and window[start] & 0xC0 == 0x80:
            start += 1
    try:
        return window[start:].decode()
    except UnicodeDecodeError as error:
        is_cut = (
            error.reason == "unexpected end of data"
            and len(window) - start - error.start <= _UTF8_EDGE_BYTES
        )
        if cut_end and is_cut:
            return window[start : start + error.start].decode()
        return None


def read_json(data: bytes | None) -> object:
    """Parse an event's payload; text when it is not JSON, None when there is none."""
    if data is None:
        return None
    try:
        parsed: object = orjson.loads(data)
    except orjson.JSONDecodeError:
        return readable(data)

    return parsed
