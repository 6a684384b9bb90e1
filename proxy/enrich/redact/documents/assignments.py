"""Redact settings files by name: TOML, INI, Java properties, environments; `name = value` and
`name: value`.

Strategy: lexical, as with YAML. Names are found around the anchors of the scanner: at the start of
a line, after a prefix (`spring.datasource.password=x`, `export API_KEY=x`, `# password = x`),
within braces (`{user = "x", password = "y"}`), and as table names (`[db.secret]`). A value is the
rest of its line and its continuation: a quoted one up to its quote, an array or table up to its
bracket, any other over lines that end in a backslash or are indented further. For a table name it
is everything up to the next table.

Invariant: no byte survives of a value whose name was seen, wherever the text ends; redacting twice
changes nothing. Standard: TOML 1.0.0; `java.util.Properties.load`; Python's `configparser`.
"""

import re
from typing import Final

from proxy.enrich.redact.documents.extents import (
    LINE_STARTS,
    OPENERS,
    QUOTES,
    Value,
    ValueRedactor,
    closing,
    line_end,
)
from proxy.enrich.redact.edits import MARK
from proxy.enrich.redact.json_values import KEPT
from proxy.enrich.redact.names import normalise
from proxy.enrich.redact.naming.named import Named, Naming
from proxy.enrich.redact.naming.values import is_fact

_PREFIX: Final = rb"""(?:[\w./:"'\[\]%$-]*[./:])?["']?"""
_PART: Final = rb"[\w-]"
_NAMINGS: Final = (
    Naming(
        LINE_STARTS + rb"[ \t]*+(?:[#;!][#;! \t]*+)?(?:export[ \t]++)?" + _PREFIX,
        rb"""["']?[ \t]*[=:]""",
        _PART,
        has_blanks=True,
    ),
    Naming(rb"[{,][ \t]*+" + _PREFIX, rb"""["']?[ \t]*=""", _PART, has_blanks=True),
    Naming(
        LINE_STARTS + rb"[ \t]*+\[\[?[ \t]*+" + _PREFIX,
        rb"""["']?[ \t]*\]""",
        _PART,
        has_blanks=True,
    ),
)
_BEFORE_NAME: Final = re.compile(rb"[ \t]*")
_LONG_QUOTES: Final = (b'"""', b"'''")
_NEXT_LINE: Final = re.compile(rb"\r?\n([ \t]*)([^\r\n]?)")
_NEXT_TABLE: Final = re.compile(rb"\n[ \t]*\[")
_INLINE_END: Final = re.compile(rb"[,}\]]|\r?\n|\Z")
_PARTS: Final = re.compile(
    rb"""\"{3}(?:[^"\\]|\\.|"(?!""))*+(?:\"{3}|\Z)|'{3}.*?(?:'{3}|\Z)"""
    rb"""|"(?:[^"\\]|\\.)*+("|\Z)|'[^']*+('|\Z)|#[^\n]*|[{}\[\]]""",
    re.DOTALL,
)
_NULLS: Final = frozenset((*KEPT, b"''", b'""', b"[]", b"{}"))
_IN_TABLE: Final = b"\n# " + MARK


class AssignmentRedactor(ValueRedactor):
    __slots__ = ()

    _namings = _NAMINGS

    def _value(self, text: bytes, found: Named) -> Value:
        start = found.stop
        if text[start - 1 : start] == b"]":
            return _table(text, start)

        while text[start : start + 1] in (b" ", b"\t"):
            start += 1
        is_inline = text[found.start : found.start + 1] in (b"{", b",")
        if is_inline:
            stop = _inline_end(text, start)
        else:
            stop = _end(text, start, found.start)
        value = text[start:stop].strip()
        plain = value.strip(b"\"'")
        if value.lower() in _NULLS or plain == MARK or is_fact(normalise(found.name), plain):
            return start, stop, b""

        is_quoted = value[:1] in (*QUOTES, *OPENERS)
        return start, stop, b'"%b"' % MARK if is_quoted else MARK


def _table(text: bytes, start: int) -> Value:
    start = line_end(text, start)
    following = _NEXT_TABLE.search(text, start)
    if following is None:
        stop = len(text)
    else:
        stop = following.start()
    return start, stop, b"" if text[start:stop].strip() in (b"", _IN_TABLE.strip()) else _IN_TABLE


def _inline_end(text: bytes, start: int) -> int:
    if text[start : start + 1] in (*QUOTES, *OPENERS):
        return closing(text, start, _PARTS)
    found = _INLINE_END.search(text, start)
    assert found is not None
    return found.start()


def _end(text: bytes, start: int, line: int) -> int:
    """Return the end of the value at `start`, in a line that begins at `line`."""
    stop = line_end(text, start)
    for quote in _LONG_QUOTES:
        if text.startswith(quote, start):
            close = text.find(quote, start + len(quote))
            if close < 0:
                return len(text)
            return line_end(text, close)

    if text[start : start + 1] in (*QUOTES, *OPENERS):
        return max(stop, line_end(text, closing(text, start, _PARTS)))

    indentation = _BEFORE_NAME.match(text, line)
    assert indentation is not None
    while (following := _NEXT_LINE.match(text, stop)) is not None:
        is_deeper = len(following[1]) > len(indentation[0]) and following[2]
        if not is_deeper and not _is_continued(text, start, stop):
            break
        stop = line_end(text, following.end(1))

    return stop


def _is_continued(text: bytes, start: int, stop: int) -> bool:
    """True if a line ends in a backslash that is not escaped."""
    line = text[max(start, text.rfind(b"\n", 0, stop)) : stop]
    return (len(line) - len(line.rstrip(b"\\"))) % 2 == 1
