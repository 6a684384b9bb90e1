"""What a head says that a record has columns for, together with the head's redacted form.

Clients and upstreams repeat their heads, apart from the first line, so both are kept in a memo by the bytes after it;
and heads that differ repeat most of their lines, so those are kept too. Both memos are bounded in entries and in the
size of each.
"""

import re
from typing import Final, NamedTuple

import msgspec

from proxy.enrich.http.heads import field_of, parse_head
from proxy.enrich.redact.redactor import Redactor

MAX_MEMO_HEADS: Final = 2048
MAX_MEMO_HEAD_BYTES: Final = 2048
"""With the limit of heads at most about 12 MiB, texts and objects included."""

MAX_MEMO_LINES: Final = 4096
MAX_MEMO_LINE_BYTES: Final = 256
"""At most about 3 MiB of lines."""

_WANTED: Final = frozenset(
    (
        *(b"host", b"user-agent", b"traceparent", b"x-request-id", b"content-type", b"content-encoding"),
        *(b"mcp-session-id", b"mcp-protocol-version", b"x-llm-request-id"),
    )
)
_SESSION: Final = b"mcp-session-id"
_VARYING: Final = frozenset((b"traceparent", b"x-request-id", b"date", b"content-length", b"etag"))
"""Differ from message to message: remembering them would only push others out."""
_FIELD_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# W3C Trace Context §3.2: version, trace id, parent id, flags; all-zero ids are invalid.
TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")
_REQUEST_ID: Final = re.compile(rb"[\w.-]{1,128}", re.ASCII)


class Facts(msgspec.Struct, frozen=True, gc=False):
    """A head without its first line."""

    redacted: bytes
    """From the CRLF that ends the first line, without the final empty line."""
    host: str | None
    user_agent: str | None
    trace_id: str | None
    span_id: str | None
    request_id: str | None
    """Only when it is one we accept (RFC-like token of at most 128 characters)."""
    content_type: bytes
    content_encoding: bytes
    mcp_session: bytes = b""
    """Not redacted: never stored, only compared and hashed."""
    mcp_version: bytes = b""
    """Revision of the Model Context Protocol, when the head names one."""
    llm_request_id: str | None = None
    """The LLM call that a tool call belongs to, as stated by the client."""


class _Line(NamedTuple):
    """A field line that was read before."""

    redacted: bytes
    name: bytes
    """Lower case, when it is one of `_WANTED`; else empty."""
    value: bytes


class FactsMemo:
    """Reads heads, and remembers them."""

    def __init__(self, redactor: Redactor) -> None:
        """Redact with `redactor`."""
        self._redactor = redactor
        self._memo: dict[bytes, Facts] = {}
        self._lines: dict[bytes, _Line] = {}

    def read(self, block: bytes) -> Facts:
        """Read a head from the CRLF that ends its first line on; an incomplete one gives what is there."""
        facts = self._memo.get(block)
        if facts is None:
            facts = self._read(block)
            if len(block) <= MAX_MEMO_HEAD_BYTES:
                if len(self._memo) >= MAX_MEMO_HEADS:
                    self._memo.clear()
                self._memo[block] = facts
        return facts

    def _read(self, block: bytes) -> Facts:
        lines = block.removesuffix(b"\r\n\r\n").split(b"\r\n")
        known = self._lines
        kept = [b""]
        found: dict[bytes, bytes] = {}
        for raw in lines[1:]:
            line = known.get(raw) or self._read_line(raw)
            if line is None:
                return self._read_odd(block)
            kept.append(line.redacted)
            name = line.name
            if name:
                found[name] = found[name] + b", " + line.value if name in found else line.value
        return _facts(b"\r\n".join(kept), found)

    def _read_line(self, raw: bytes) -> _Line | None:
        """Read and remember a field line; None for what is not a well-formed one."""
        raw_name, colon, value = raw.partition(b":")
        if not colon or not _FIELD_NAME.fullmatch(raw_name) or b"\n" in value or b"\r" in value:
            return None
        name = raw_name.lower()
        redacted = self._redactor.redact_field(raw)
        if redacted is not raw and name != _SESSION:  # a session is only compared, never stored
            value = redacted.partition(b":")[2]
        line = _Line(redacted, name if name in _WANTED else b"", value.strip(b" \t"))
        if len(raw) <= MAX_MEMO_LINE_BYTES and name not in _VARYING:
            if len(self._lines) >= MAX_MEMO_LINES:
                self._lines.clear()
            self._lines[raw] = line
        return line

    def _read_odd(self, block: bytes) -> Facts:
        """Read the head of a refused request, whose lines may end and continue in any way."""
        redacted = self._redactor.redact_head(block)
        _, fields = parse_head(redacted)
        found = {name: value for name in _WANTED if (value := field_of(fields, name)) is not None}
        return _facts(redacted.removesuffix(b"\r\n\r\n"), found)


def _facts(redacted: bytes, found: dict[bytes, bytes]) -> Facts:
    host, agent = found.get(b"host"), found.get(b"user-agent")
    request_id, linked = found.get(b"x-request-id", b""), found.get(b"x-llm-request-id", b"")
    trace = TRACEPARENT.fullmatch(found[b"traceparent"]) if b"traceparent" in found else None
    return Facts(
        redacted,
        None if host is None else text_of(host),
        None if agent is None else text_of(agent),
        trace[1].decode() if trace else None,
        trace[2].decode() if trace else None,
        request_id.decode() if request_id and _REQUEST_ID.fullmatch(request_id) else None,
        found.get(b"content-type", b""),
        found.get(b"content-encoding", b""),
        found.get(b"mcp-session-id", b""),
        found.get(b"mcp-protocol-version", b""),
        linked.decode() if linked and _REQUEST_ID.fullmatch(linked) else None,
    )


def text_of(raw: bytes) -> str:
    r"""Decode bytes from the wire: UTF-8, else with `\xNN` for what is not (and doubled backslashes then)."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
