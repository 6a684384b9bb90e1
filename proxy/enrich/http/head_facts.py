"""Read heads: the fields that a record has columns for, and the redacted form of the whole head.

Clients and upstreams repeat the lines of their heads, so what is known of lines is remembered (`field_lines.py`); a
head that came before as a whole, apart from its first line, is not even split. Both memories are bounded in entries and
in the size of each. Tolerant, because refused requests are stored too: lines may end with CRLF, LF or CR, a line that
begins with a blank continues the one before (RFC 9112 §5.2), and a line without a colon is left out.
"""

import re
from typing import Final

import msgspec

from proxy.enrich.http.field_lines import WANTED, FieldLineReader
from proxy.enrich.redact.redactor import Redactor
from proxy.http1.trace_context import TRACEPARENT

MAX_MEMO_HEADS: Final = 2048
MAX_MEMO_HEAD_BYTES: Final = 2048
"""With the limit of heads at most about 12 MiB, texts and objects included."""
_SIGHTS: Final = 4096
"""Places that note which heads came once: most of them never come again."""

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_REQUEST_ID: Final = re.compile(rb"[\w.-]{1,128}", re.ASCII)

Field = tuple[bytes, bytes]
"""Lower-case name, value without surrounding blanks."""


class HeadFacts(msgspec.Struct, frozen=True, gc=False):
    """The fields of a head that a record has columns for."""

    redacted: bytes
    """From the CRLF that ends the first line, without the final empty line."""
    host: str | None
    user_agent: str | None
    trace_id: str | None
    span_id: str | None
    request_id: str | None
    """Only one of at most 128 word characters, dots and hyphens."""
    content_type: bytes
    content_encoding: bytes
    mcp_session: bytes = b""
    """Not redacted: it is hashed, never stored."""
    mcp_version: bytes = b""
    """Revision of the Model Context Protocol."""
    llm_request_id: str | None = None
    """The LLM call that the client says a tool call belongs to."""


class HeadReader:
    """Reads heads, from the CRLF that ends the first line on. Not thread-safe."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._memo: dict[bytes, HeadFacts] = {}
        self._sights = [0] * _SIGHTS
        self._lines = FieldLineReader(redactor)

    def read(self, block: bytes) -> HeadFacts:
        facts = self._memo.get(block)
        if facts is None:
            facts = self._read(block)
            # At the second sight: a head that comes once costs 1 us less, and pushes none out (bench/micro, collector).
            sight = hash(block)
            if self._sights[sight % _SIGHTS] != sight:
                self._sights[sight % _SIGHTS] = sight
            elif len(block) <= MAX_MEMO_HEAD_BYTES:
                if len(self._memo) >= MAX_MEMO_HEADS:
                    self._memo.clear()
                self._memo[block] = facts
        return facts

    def _read(self, block: bytes) -> HeadFacts:
        """Read a head line by line; 6 us with ten headers of which three were never seen (bench/micro, enrich)."""
        lines = block.removesuffix(b"\r\n\r\n").split(b"\r\n")
        kept = [lines.pop(0)]
        found: dict[bytes, bytes] = {}
        for raw, known in zip(lines, map(self._lines.known.get, lines), strict=True):
            line = known or self._lines.read(raw)
            if line is None:
                return self._read_malformed(block)
            redacted, name, value = line
            kept.append(redacted)
            if name:
                is_listed = name in found and name != b"x-request-id"  # the last id counts, as it does for the upstream
                found[name] = found[name] + b", " + value if is_listed else value
        return _facts(b"\r\n".join(kept), found)

    def _read_malformed(self, block: bytes) -> HeadFacts:
        """Read the head of a refused request, whose lines may be folded or end in any way."""
        redacted = self._redactor.redact_head(block)
        _, fields = parse_head(redacted)
        found = {name: value for name in WANTED if (value := field_of(fields, name)) is not None}
        return _facts(redacted.removesuffix(b"\r\n\r\n"), found)


def _facts(redacted: bytes, found: dict[bytes, bytes]) -> HeadFacts:
    host, agent = found.get(b"host"), found.get(b"user-agent")
    request_id, linked = found.get(b"x-request-id", b""), found.get(b"x-llm-request-id", b"")
    trace = TRACEPARENT.fullmatch(found[b"traceparent"]) if b"traceparent" in found else None
    return HeadFacts(
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


def split_head(head: bytes) -> tuple[bytes, bytes]:
    """Split a head at the end of its first line; the rest begins with the CRLF."""
    cut = head.find(b"\r\n")
    return (head[:cut], head[cut:]) if cut >= 0 else (head, b"")


def parse_head(head: bytes) -> tuple[bytes, list[Field]]:
    """Split a head into its start line and its fields, in order; repeated fields stay apart."""
    lines = head.split(b"\r\n")
    if head.count(b"\n") + head.count(b"\r") != 2 * (len(lines) - 1):
        lines = _LINE_END.split(head)
    fields: list[Field] = []
    for line in lines[1:]:
        if line[:1] in (b" ", b"\t") and fields:
            name, value = fields[-1]
            fields[-1] = (name, value + b" " + line.strip())
            continue
        raw_name, colon, value = line.partition(b":")
        if colon:
            fields.append((raw_name.strip().lower(), value.strip()))
    return lines[0], fields


def field_of(fields: list[Field], name: bytes) -> bytes | None:
    """Return the value of a field by its lower-case name, repeated ones joined with a comma; None without it."""
    values = [value for field, value in fields if field == name]
    return b", ".join(values) if values else None


def text_of(raw: bytes) -> str:
    r"""Decode bytes from the wire: UTF-8, else with `\xNN` for what is not (and doubled backslashes then)."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
