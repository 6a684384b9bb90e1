"""Read heads: the fields that a record has columns for, and the redacted form of the whole head.

Clients and upstreams repeat their heads, apart from the first line, so both are memoised by the bytes after it. Heads
of traced clients differ in their ids alone, so they are memoised by what is around those; and heads that differ
otherwise repeat most of their lines, so lines are memoised too. All memos are bounded in entries and in the size of
each. Tolerant, because refused requests are stored too: lines may end with CRLF, LF or CR, a line that begins
with a blank continues the one before (RFC 9112 §5.2), and a line without a colon is left out.
"""

import re
from typing import Final, NamedTuple

import msgspec

from proxy.enrich.redact.redactor import Redactor
from proxy.http1.trace_context import TRACEPARENT

MAX_MEMO_HEADS: Final = 2048
MAX_MEMO_HEAD_BYTES: Final = 2048
"""With the limit of heads at most about 12 MiB for each of the two memos of heads, texts and objects included."""

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
"""Differ from message to message: memoising them would only push others out."""
_IDS: Final = re.compile(rb"(\r\n((?i:x-request-id|traceparent)): ?([0-9a-f-]{8,80}))(?=\r\n)")
"""Lines of ids in a form that no secret has: hexadecimal digits and hyphens."""
_MAX_IDS: Final = 2
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_FIELD_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_REQUEST_ID: Final = re.compile(rb"[\w.-]{1,128}", re.ASCII)

_TRACEPARENT_LENGTH: Final = len(b"traceparent")

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


class _Line(NamedTuple):
    """A memoised field line."""

    redacted: bytes
    name: bytes
    """Lower case, when it is one of `_WANTED`; else empty."""
    value: bytes


class _Frame(NamedTuple):
    """A memoised head without its ids."""

    redacted: tuple[bytes, ...]
    """What is before, between and behind them."""
    facts: HeadFacts


class HeadReader:
    """Reads heads, from the CRLF that ends the first line on. Not thread-safe."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._memo: dict[bytes, HeadFacts] = {}
        self._frames: dict[tuple[bytes, ...], _Frame] = {}
        self._lines: dict[bytes, _Line] = {}
        self._are_ids_plain = not any(map(redactor.is_secret_header, (b"traceparent", b"x-request-id")))

    def read(self, block: bytes) -> HeadFacts:
        facts = self._memo.get(block)
        if facts is None:
            facts = self._read_around_ids(block) if self._are_ids_plain else None
            if facts is not None:
                return facts
            facts = self._read(block)
            if len(block) <= MAX_MEMO_HEAD_BYTES:
                if len(self._memo) >= MAX_MEMO_HEADS:
                    self._memo.clear()
                self._memo[block] = facts
        return facts

    def _read_around_ids(self, block: bytes) -> HeadFacts | None:
        """Read a head with a request id, a trace or both; None for any other.

        With both new and all else known 2.2 us instead of 9.5 (bench/micro, enrich).
        """
        pieces = _IDS.split(block, _MAX_IDS)
        if len(pieces) == 1:
            return None
        rest = tuple(pieces[::4])
        frame = self._frames.get(rest) or self._read_frame(rest)
        if frame is None:
            return None
        parts = list(frame.redacted)
        facts = frame.facts
        trace_id = span_id = request_id = None
        has_trace = False
        for index in range(1, len(pieces), 4):
            parts.insert(index // 2 + 1, pieces[index])
            if len(pieces[index + 1]) == _TRACEPARENT_LENGTH:
                if has_trace:
                    return None
                has_trace = True
                if trace := TRACEPARENT.fullmatch(pieces[index + 2]):
                    trace_id, span_id = trace[1].decode(), trace[2].decode()
            elif request_id is not None:
                return None
            else:
                request_id = pieces[index + 2].decode()
        return HeadFacts(
            b"".join(parts), facts.host, facts.user_agent, trace_id, span_id, request_id, facts.content_type,
            facts.content_encoding, facts.mcp_session, facts.mcp_version, facts.llm_request_id,
        )  # fmt: skip

    def _read_frame(self, rest: tuple[bytes, ...]) -> _Frame | None:
        """Read what is around the ids; None when it is malformed or holds more of them."""
        redacted = []
        found: dict[bytes, bytes] = {}
        for piece in rest:
            lines = self._read_lines(piece.removesuffix(b"\r\n\r\n"), found)
            if lines is None:
                return None
            redacted.append(lines)
        if b"x-request-id" in found or b"traceparent" in found:
            return None
        frame = _Frame(tuple(redacted), _facts(b"", found))
        if sum(map(len, rest)) <= MAX_MEMO_HEAD_BYTES:
            if len(self._frames) >= MAX_MEMO_HEADS:
                self._frames.clear()
            self._frames[rest] = frame
        return frame

    def _read(self, block: bytes) -> HeadFacts:
        found: dict[bytes, bytes] = {}
        redacted = self._read_lines(block.removesuffix(b"\r\n\r\n"), found)
        return self._read_malformed(block) if redacted is None else _facts(redacted, found)

    def _read_lines(self, block: bytes, found: dict[bytes, bytes]) -> bytes | None:
        """Redact field lines and note the wanted fields in `found`; None when one is malformed."""
        known = self._lines
        kept = [b""]
        for raw in block.split(b"\r\n")[1:]:
            line = known.get(raw) or self._read_line(raw)
            if line is None:
                return None
            kept.append(line.redacted)
            name = line.name
            if name:
                is_listed = name in found and name != b"x-request-id"  # the last id counts, as it does for the upstream
                found[name] = found[name] + b", " + line.value if is_listed else line.value
        return b"\r\n".join(kept)

    def _read_line(self, raw: bytes) -> _Line | None:
        """Return a well-formed field line, or None."""
        raw_name, colon, value = raw.partition(b":")
        if not colon or not _FIELD_NAME.fullmatch(raw_name) or b"\n" in value or b"\r" in value:
            return None
        name = raw_name.lower()
        redacted = self._redactor.redact_field(raw)
        if redacted is not raw and name != _SESSION:  # a session is hashed, never stored
            value = redacted.partition(b":")[2]
        line = _Line(redacted, name if name in _WANTED else b"", value.strip(b" \t"))
        if len(raw) <= MAX_MEMO_LINE_BYTES and name not in _VARYING:
            if len(self._lines) >= MAX_MEMO_LINES:
                self._lines.clear()
            self._lines[raw] = line
        return line

    def _read_malformed(self, block: bytes) -> HeadFacts:
        """Read the head of a refused request, whose lines may be folded or end in any way."""
        redacted = self._redactor.redact_head(block)
        _, fields = parse_head(redacted)
        found = {name: value for name in _WANTED if (value := field_of(fields, name)) is not None}
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
