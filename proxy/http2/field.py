"""One HPACK field of a head, judged once: name, value, kind, and its HTTP/1.1 line.

Strategy: table rows recur in every request, so a field is judged when it is created, and not in
each message (is the name a token, is the value clean, is it a pseudo-field: F5, F6, F7). Kinds are
plain integers, compared in the loops of `request_fields.py` and `response_fields.py`.
"""

import re
from typing import Final

PLAIN: Final = 0
METHOD: Final = 1
SCHEME: Final = 2
AUTHORITY: Final = 3
PATH: Final = 4
PROTOCOL: Final = 5
STATUS: Final = 6
HOST: Final = 7
LENGTH: Final = 8
COOKIE: Final = 9
TE: Final = 10
MALFORMED: Final = 11

OVERHEAD_BYTES: Final = 32
"""Bytes counted for a field in addition to name and value (RFC 7541 §4.1, RFC 9113 §6.5.2)."""

_KINDS: Final = {
    b":method": METHOD, b":scheme": SCHEME, b":authority": AUTHORITY, b":path": PATH, b":protocol": PROTOCOL,
    b":status": STATUS, b"host": HOST, b"content-length": LENGTH, b"cookie": COOKIE, b"te": TE,
}  # fmt: skip
_CONNECTION_FIELDS: Final = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade")
)
"""Fields about a connection of HTTP/1.1 (RFC 9113 §8.2.2)."""
_NAME_BYTES: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
_CONTROLS: Final = bytes(byte for byte in (*range(32), 127) if byte != 9)
_PSEUDO_VALUES: Final[dict[int, re.Pattern[bytes]]] = {
    METHOD: re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"),
    PROTOCOL: re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"),
    SCHEME: re.compile(rb"(?i:https?)"),
    AUTHORITY: re.compile(rb"[\x21-\x7e\x80-\xff]+"),
    PATH: re.compile(rb"/[\x21-\x7e\x80-\xff]*|\*"),
    STATUS: re.compile(rb"[1-9][0-9][0-9]"),
}
"""Forms of the pseudo-fields. None of them can end a request line or a field line early."""


class Field:
    """One field; immutable, and shared by all messages that refer to it."""

    __slots__ = ("kind", "line", "name", "objection", "size_bytes", "value")

    def __init__(self, name: bytes, value: bytes) -> None:
        """Judge a field by itself. The message judges its position and repetition."""
        self.name = name
        self.value = value
        self.size_bytes = len(name) + len(value) + OVERHEAD_BYTES
        self.line = b"%b: %b\r\n" % (name, value)
        """Field line for HTTP/1.1. Do not use it if the field is malformed."""
        kind = _KINDS.get(name, PLAIN)
        self.objection = _objection(kind, name, value)
        """Reason why it makes its message malformed; empty if it does not."""
        self.kind = MALFORMED if self.objection else kind


def _objection(kind: int, name: bytes, value: bytes) -> str:
    """Return the error of a field, independent of its message; empty if it has none (F5, F6, F7)."""
    if kind == PLAIN:
        if name[:1] == b":":
            return "an unknown pseudo-field"
        if not name or name.translate(None, _NAME_BYTES):
            return "the name of a field is not a lower-case token"
        if name in _CONNECTION_FIELDS:
            return f"the connection field {name.decode()}"

    if value != value.strip(b" \t") or len(value.translate(None, _CONTROLS)) < len(value):
        return "a control, or white space around it, in the value of a field"
    if METHOD <= kind <= STATUS and not _PSEUDO_VALUES[kind].fullmatch(value):
        return f"an invalid {name.decode()}"
    if kind == TE and value.lower() != b"trailers":
        return "te is not trailers"

    return ""
