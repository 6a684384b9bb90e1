"""Read field lines of heads: redacted, and with the value of those that a record has a column for.

Nine of ten lines of a client repeat, the tenth never does. So lines are remembered, bounded in number and length, and
those that vary by nature are read by their name without a search: ids and lengths in a form that no secret has,
cookies, of which only the names stay, and secrets, of which nothing does. All others are redacted like any text.

Invariant: a remembered line, or one read by its name, gives the result of `read_any`.
"""

import re
from abc import ABC, abstractmethod
from typing import Final

from proxy.enrich.http.head_patterns import LinePattern, constant
from proxy.enrich.redact.names import normalise
from proxy.enrich.redact.octets import CR, LF, QUOTE
from proxy.enrich.redact.redactor import Redactor

MAX_MEMO_LINES: Final = 4096
MAX_MEMO_LINE_BYTES: Final = 256
"""At most about 3 MiB of lines."""
MAX_NAMES: Final = 256
MAX_NAME_BYTES: Final = 64
"""Of spellings of names whose lines vary: clients use few."""

WANTED: Final = frozenset(
    (
        *(b"host", b"user-agent", b"traceparent", b"x-request-id", b"content-type", b"content-encoding"),
        *(b"mcp-session-id", b"mcp-protocol-version", b"x-llm-request-id"),
    )
)
"""Names of the fields that a record has columns for."""
_SESSION: Final = b"mcp-session-id"
_ID: Final = rb"([0-9a-f-]{1,80}+)"
_TAG: Final = rb'((?:W/)?"[0-9a-f-]{0,80}+")'
_DATE: Final = rb"([A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT)"
"""RFC 9110 §5.6.7."""
_PLAIN: Final = {
    b"x-request-id": _ID,
    b"traceparent": _ID,
    b"content-length": _ID,
    b"age": _ID,
    b"etag": _TAG,
    b"if-none-match": _TAG,
    b"date": _DATE,
    b"last-modified": _DATE,
    b"if-modified-since": _DATE,
}
"""Names of fields that differ from message to message → the form in which their values hold no secret."""
_TRACE: Final = rb"([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
"""The form of a valid traceparent (W3C, level 1), in its parts."""
_SPLIT: Final = {b"traceparent": (_TRACE, b"%b-%b-%b-%b")}
"""Names of fields of whose values a pattern needs parts: their form, and how they are put together."""
_READ_EACH: Final = (b"setcookie", b"secwebsocketprotocol")
"""Names of lines that hold secrets, and what is none."""
_FIELD_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_COOKIE_VALUE: Final = re.compile(rb"=[^;]*")
_ANY_COOKIE_VALUE: Final = rb"=[^;\"\r\n]*+"

Line = tuple[bytes, bytes, bytes]
"""Redacted; the name in lower case when it is one of `WANTED`, else empty; the value. A plain tuple: a named one costs
0.2 us more."""


class LineReader(ABC):
    """Reads lines of one name, as it is spelled."""

    @abstractmethod
    def read(self, raw: bytes) -> Line | None:
        """Return a line; None for a line of another name, and for unknown ones."""

    def pattern(self, raw: bytes) -> LinePattern | None:
        """Return the pattern of lines that are written as one is that `read` reads; None where there is none."""
        return None


class FieldLineReader(LineReader):
    """Reads field lines, given without their CRLF. Not thread-safe."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self.known: dict[bytes, Line] = {}
        """Lines that need not be read."""
        self._by_name: dict[bytes, LineReader] = {}
        """Names of lines that vary, as they are spelled → how they are read."""

    def read(self, raw: bytes) -> Line | None:
        """Return a line that is not known; None when it is malformed."""
        if LF in raw or CR in raw:  # fields may be hidden behind it
            return None
        reader = self._by_name.get(raw.partition(b":")[0])
        return (None if reader is None else reader.read(raw)) or self.read_any(raw)

    def reader_of(self, raw: bytes) -> LineReader:
        """Return what reads lines of the name that a line has."""
        return self._by_name.get(raw.partition(b":")[0], self)

    def read_any(self, raw: bytes) -> Line | None:
        """Return a line without CR and LF, whatever its name; None when it is malformed."""
        raw_name, colon, value = raw.partition(b":")
        if not colon or not _FIELD_NAME.fullmatch(raw_name):
            return None
        name = raw_name.lower()
        redacted = self._redactor.redact_field(raw)
        if redacted is not raw and name != _SESSION:  # a session is hashed, never stored
            value = redacted.partition(b":")[2]
        line = redacted, name if name in WANTED else b"", value.strip(b" \t")
        if not self._varies(raw_name, name) and len(raw) <= MAX_MEMO_LINE_BYTES:
            if len(self.known) >= MAX_MEMO_LINES:
                self.known.clear()
            self.known[raw] = line
        return line

    def _varies(self, raw_name: bytes, name: bytes) -> bool:
        """Whether lines of a name vary, so that remembering them would only push others out; learns how to read them.

        Of cookies and secrets what is read is what repeats: the line without its values.
        """
        is_secret = self._redactor.is_secret_header(raw_name) and name != _SESSION
        if not is_secret and name not in _PLAIN:
            return False
        if raw_name not in self._by_name and len(raw_name) <= MAX_NAME_BYTES:
            if len(self._by_name) >= MAX_NAMES:
                self._by_name.clear()
            if not is_secret:
                self._by_name[raw_name] = _PlainLines(raw_name, name)
            elif normalise(raw_name) == b"cookie":
                self._by_name[raw_name] = _CookieLines(self, raw_name)
            elif normalise(raw_name) not in _READ_EACH:
                self._by_name[raw_name] = _SecretLines(self, raw_name)
        return not is_secret


class _PlainLines(LineReader):
    """Of values that differ from message to message, and hold no secret in the form they have."""

    def __init__(self, raw_name: bytes, name: bytes) -> None:
        self._start = raw_name + b":"
        self._value_at = len(self._start)
        self._fullmatch = re.compile(b" ?" + _PLAIN[name]).fullmatch
        self._form, self._shown = _SPLIT.get(name, (_PLAIN[name], b"%b"))
        self._wanted = name if name in WANTED else b""

    def read(self, raw: bytes) -> Line | None:
        found = self._fullmatch(raw, self._value_at) if raw.startswith(self._start) else None
        return None if found is None else (raw, self._wanted, found[1])

    def pattern(self, raw: bytes) -> LinePattern | None:
        if not raw.startswith(self._start):
            return None
        start = raw[: self._value_at + raw.startswith(b" ", self._value_at)]
        same = constant(start, start)
        return LinePattern(same.expression + self._form, same.redacted + self._shown, self._shown.count(b"%b"))


class _CookieLines(LineReader):
    """Of cookies: what repeats is their names."""

    def __init__(self, lines: FieldLineReader, raw_name: bytes) -> None:
        self._lines = lines
        self._start = raw_name + b":"

    def read(self, raw: bytes) -> Line | None:
        # A quoted value may hold what separates others.
        if not raw.startswith(self._start) or QUOTE in raw or CR in raw or LF in raw:
            return None
        names = _COOKIE_VALUE.sub(b"=", raw)
        return self._lines.known.get(names) or self._lines.read_any(names)

    def pattern(self, raw: bytes) -> LinePattern | None:
        line = self.read(raw)
        if line is None:
            return None
        names = _COOKIE_VALUE.sub(b"=", raw).split(b"=")
        return LinePattern(_ANY_COOKIE_VALUE.join(map(re.escape, names)), constant(raw, line[0]).redacted)


class _SecretLines(LineReader):
    """Of secrets: what repeats is the name."""

    def __init__(self, lines: FieldLineReader, raw_name: bytes) -> None:
        self._lines = lines
        self._start = raw_name + b":"

    def read(self, raw: bytes) -> Line | None:
        if not raw.startswith(self._start) or CR in raw or LF in raw:
            return None
        return self._lines.known.get(self._start) or self._lines.read_any(self._start)

    def pattern(self, raw: bytes) -> LinePattern | None:
        line = self.read(raw)
        if line is None:
            return None
        return LinePattern(re.escape(self._start) + rb"[^\r\n]*+", constant(raw, line[0]).redacted)
