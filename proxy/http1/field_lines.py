"""Field lines of requests and responses: their syntax, their names, and a memo of lines.

llhttp judges the syntax of a whole head (names, values, line endings, repeated or conflicting
lengths). `request_head.py` and `response_head.py` refuse the errors that it accepts (RULES.md).
Most lines of most messages are forwarded unchanged; those are remembered.
"""

import re
from collections.abc import Callable, Iterable, Set
from typing import Final

import httptools

HOP_BY_HOP: Final = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-authentication-info",
        b"http2-settings",
    )
)
"""Never forwarded, in either direction (P1, P7)."""

UPGRADE_LINES: Final = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
"""The only upgrade that is passed on, in both directions (P7)."""
TE_LINES: Final = b"Connection: TE\r\nTE: trailers\r\n"
"""The lines that ask for trailers. TE is hop-by-hop, so Connection names it (RFC 9110 §10.1.4)."""

MAX_PLAIN_LINES: Final = 4096
MAX_HOST_LINES: Final = 1024
MAX_PLAIN_LINE_BYTES: Final = 256
"""With the limits above at most 1.5 MiB of lines are remembered."""
_BLANKS_BEFORE_COLON: Final = re.compile(rb"(\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]++)[ \t]+:")
_VARYING: Final = frozenset(
    (b"traceparent", b"tracestate", b"authorization", b"if-none-match", b"date", b"etag", b"age")
)
"""Fields that differ from message to message: remembering them would only push others out."""


class PlainLines:
    """Field lines that were read before and are forwarded unchanged: most lines of most messages.

    A look-up costs 0.03 µs where reading a line costs 0.3 (bench/micro). That matters for heads
    that differ in one line; whole heads are looked up in `memo/`.
    """

    __slots__ = ("hosts", "known")

    def __init__(self) -> None:
        self.known: set[bytes] = set()
        self.hosts: dict[bytes, bytes] = {}
        """Host line → its host. Every request has one."""

    def remember(self, name: bytes, line: bytes) -> None:
        """Remember a line with this lower-case name, if it is likely to come again."""
        if len(line) <= MAX_PLAIN_LINE_BYTES and name not in _VARYING:
            if len(self.known) >= MAX_PLAIN_LINES:
                self.known.clear()
            self.known.add(line)

    def remember_host(self, line: bytes, host: bytes) -> None:
        """Remember that a Host line names this well-formed host."""
        if len(line) <= MAX_PLAIN_LINE_BYTES:
            if len(self.hosts) >= MAX_HOST_LINES:
                self.hosts.clear()
            self.hosts[line] = host


class _Sink:
    """Takes no callbacks: only the verdict is needed. The attributes spare failing look-ups."""

    on_message_begin = None
    on_url = None
    on_status = None
    on_header = None
    on_headers_complete = None
    on_body = None
    on_message_complete = None
    on_chunk_header = None
    on_chunk_complete = None


_SINK: Final = _Sink()


def judge(parser: Callable[[object], object], head: bytes) -> str | None:
    """Return the syntax error that llhttp finds in a complete head, None without one."""
    try:
        parser(_SINK).feed_data(head)  # type: ignore[attr-defined]
    except httptools.HttpParserUpgrade:
        # The head is well-formed. The parser's opinion on an upgrade is not used.
        return None
    except httptools.HttpParserError as error:
        return str(error)

    return None


def without_blanks_before_colons(head: bytes) -> bytes:
    """Return a response head without blanks between names and colons (RFC 9112 §5.1)."""
    return _BLANKS_BEFORE_COLON.sub(rb"\1:", head)


def name_of(line: bytes) -> bytes:
    return line.partition(b":")[0].lower()


def hyphenated(names: Iterable[bytes]) -> frozenset[bytes]:
    """Return names with hyphens for underscores, so that `is_named` finds both spellings."""
    return frozenset(name.replace(b"_", b"-") for name in names)


def is_named(line: bytes, names: Set[bytes]) -> bool:
    """Return True if a line has one of some lower-case names; hyphens match underscores.

    CGI-style servers treat names with underscores like those with hyphens (P18).
    """
    name = name_of(line)
    return name in names or (b"_" in name and name.replace(b"_", b"-") in names)


def options_of(value: bytes) -> list[bytes]:
    """Return the lower-case options in a comma-separated list, without empty ones."""
    return [option for part in value.lower().split(b",") if (option := part.strip(b" \t"))]


def has_bare_line_end(head: bytes) -> bool:
    """Return True if an incomplete head has a bare CR or LF: its end will never come (P3)."""
    pairs = head.count(b"\r\n")
    return head.count(b"\n") != pairs or head.count(b"\r") - head.endswith(b"\r") != pairs
