"""The columns of a record that a head fills, and a tolerant parser for heads.

Refused requests are stored, too. Therefore lines may end with CRLF, LF or CR, a line that begins
with a blank continues the one before (RFC 9112 §5.2), and a line without a colon is left out.
"""

import re
from typing import Final

import msgspec

from proxy.http1.trace_context import TRACEPARENT
from storage.redactions import Redactions
from storage.search.subject import split_line

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
REQUEST_ID: Final = re.compile(rb"[\w.-]{1,128}", re.ASCII)

Field = tuple[bytes, bytes]
"""Lower-case name, value without surrounding blanks."""


class HeadFacts(msgspec.Struct, frozen=True, gc=False):
    """The values of a head for columns of a record."""

    redacted: bytes
    """From the CRLF that ends the first line, without the final empty line."""
    host: str | None
    user_agent: str | None
    trace_id: str | None
    span_id: str | None
    request_id: str | None
    """None unless it has at most 128 word characters, dots and hyphens."""
    content_type: bytes
    content_encoding: bytes
    mcp_session: bytes = b""
    """Not redacted: it is hashed, never stored."""
    mcp_version: bytes = b""
    """Revision of the Model Context Protocol."""
    llm_request_id: str | None = None
    """Id of the LLM call to which the client says a tool call belongs."""
    redactions: Redactions = None
    """Number of redacted secrets by rule, without fields that are secret by name."""


def facts_of(
    redacted: bytes, found: dict[bytes, bytes], redactions: Redactions = None
) -> HeadFacts:
    host = found.get(b"host")
    agent = found.get(b"user-agent")
    request_id = found.get(b"x-request-id", b"")
    linked = found.get(b"x-llm-request-id", b"")
    if b"traceparent" in found:
        trace = TRACEPARENT.fullmatch(found[b"traceparent"])
    else:
        trace = None
    return HeadFacts(
        redacted,
        None if host is None else text_of(host),
        None if agent is None else text_of(agent),
        trace[1].decode() if trace else None,
        trace[2].decode() if trace else None,
        request_id.decode() if request_id and REQUEST_ID.fullmatch(request_id) else None,
        found.get(b"content-type", b""),
        found.get(b"content-encoding", b""),
        found.get(b"mcp-session-id", b""),
        found.get(b"mcp-protocol-version", b""),
        linked.decode() if linked and REQUEST_ID.fullmatch(linked) else None,
        redactions,
    )


def parse_head(head: bytes) -> tuple[bytes, list[Field]]:
    """Split a head into its start line and its fields, in order. Repeated fields are not joined."""
    lines = head.split(b"\r\n")
    if head.count(b"\n") + head.count(b"\r") != 2 * (len(lines) - 1):
        lines = _LINE_END.split(head)
    fields: list[Field] = []
    for line in lines[1:]:
        if line[:1] in (b" ", b"\t") and fields:
            name, value = fields[-1]
            fields[-1] = (name, value + b" " + line.strip())
            continue

        field = split_line(line)
        if field is not None:
            fields.append((field[0].strip().lower(), field[1].strip()))

    return lines[0], fields


def field_of(fields: list[Field], name: bytes) -> bytes | None:
    """Return the value of a field by its lower-case name, repeated ones joined with commas; None
    without it.
    """
    values = [value for field, value in fields if field == name]
    if values:
        return b", ".join(values)
    return None


def text_of(raw: bytes) -> str:
    r"""Decode bytes from the wire as UTF-8. Invalid bytes become `\xNN`, and then backslashes are
    doubled.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
