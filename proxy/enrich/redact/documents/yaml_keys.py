"""Redact YAML by key: the value after a secret key, on its line and on further indented lines.

Strategy: lexical, as with JSON. Around the anchors of the scanner are keys of block mappings
(`password: x`, `- "api-key": x`), keys of flow mappings (`{user: bob, password: x}`), and names of
the value on the next line (`- name: DB_PASSWORD`, `value: x`, as in container environments). The
value of a block is the rest of the line and all lines that are indented further than its key, in
any style: plain, quoted, `|`, `>`, a mapping or a list.

Invariant: no byte survives of a value whose key was seen, wherever the text ends; redacting twice
changes nothing. If a flow continues over lines, the rest of its line is redacted, too: it may be
text of a block. Standard: YAML 1.2.2 §6.1, §7.3, §7.4, §8.1, §8.2.
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
from proxy.enrich.redact.naming.values import is_fact, is_member_kept

_PART: Final = rb"[\w.-]"
_NAMINGS: Final = (
    Naming(
        LINE_STARTS + rb"""[ \t?#-]*+["']?""",
        rb"""["']?[ \t]*:(?:[ \t]|\r?$)""",
        _PART,
        has_blanks=True,
    ),
    Naming(rb"""[{,]\s*+["']?""", rb"""["']?\s*:[ \t\n]""", _PART, has_blanks=True),
    Naming(
        LINE_STARTS + rb"""[ \t-]*+(?:name|key):[ \t]++["']?""",
        rb"""["']?[ \t]*(?:#[^\n]*)?\r?\n[ \t]*value:[ \t]""",
        _PART,
        has_blanks=True,
    ),
)
_BEFORE_KEY: Final = re.compile(rb"(?:[ \t]|[-?#](?=[ \t#]))*#?")
"""Indentation, and the sign of a list entry, a key or a comment."""
_COMMENT: Final = re.compile(rb"[ \t]*(?:#.*)?\r?", re.DOTALL)
_NULLS: Final = frozenset((*KEPT, b"~", b"''", b'""', b"[]", b"{}"))
_NEXT_LINE: Final = re.compile(rb"\r?\n([ \t]*)([^\n]*)")
_BLANK: Final = (b"", b"\r")
_FLOW_END: Final = re.compile(rb"[,}\]]|\r?\n|\Z")
_NO_PLAIN: Final = re.compile(rb"[ \t]*+(?:\r?\n|\Z|#|-[ \t-]|[^,{}\[\]\n]*:(?:\s|\Z))")
"""A line that does not continue a plain flow scalar: empty, or part of a block."""
_PARTS: Final = re.compile(
    rb""""(?:[^"\\]|\\.)*+("|\Z)|'(?:[^']|'')*+('|\Z)|(?<=[\s,\[\]{}"'])#[^\n]*|[{}\[\]]""",
    re.DOTALL,
)
_MEMBER: Final = re.compile(rb"""[ \t-]*+(?:["']?([\w$]+)["']?:(?=[ \t\r]|\Z))?(.*)""", re.DOTALL)
_MAX_FURTHER_KEYS: Final = 16
"""Maximum number of further keys in a possible value; with more, the rest of the text is
redacted.
"""
_REPLACEMENT: Final = b' "%b"' % MARK
"""Without quotes it would be a list."""


class YamlRedactor(ValueRedactor):
    __slots__ = ()

    _namings = _NAMINGS

    def _value(self, text: bytes, found: Named) -> Value:
        start = _colon(text, found) + 1
        stop = self._value_end(text, found)
        value = text[start:stop]
        name = normalise(found.name)
        plain = _plain(value)
        is_kept = (
            plain in _NULLS or is_fact(name, plain.strip(b"\"'")) or _is_described(name, value)
        )
        return start, stop, b"" if is_kept else _REPLACEMENT

    def _value_end(self, text: bytes, found: Named) -> int:
        """Return the end of a value, including the values of further keys within it."""
        sure, stop = _value_ends(text, found)
        finder = self._finder(text)
        inner = finder.search(sure) if sure < stop else None

        for _ in range(_MAX_FURTHER_KEYS):
            if inner is None or inner.start >= stop:
                return stop
            stop = max(stop, _value_ends(text, inner)[1])
            inner = finder.search(inner.stop)

        return len(text)


def _colon(text: bytes, found: Named) -> int:
    return text.rindex(b":", found.start, found.stop)


def _plain(value: bytes) -> bytes:
    """Return a value in lower case, without blanks and comments."""
    value = value.strip()
    if value.startswith(b"#") and b"\n" not in value:
        return b""
    return value.partition(b" #")[0].rstrip().lower()


def _is_described(name: bytes, block: bytes) -> bool:
    """True if all lines below a key describe a secret, as in a schema. The name is given as
    compared.
    """
    first, *lines = block.split(b"\n")
    member = b""
    for line in lines:
        found = _MEMBER.fullmatch(line)
        assert found is not None
        value = found[2].strip(b"\"' \t\r")

        member = found[1] or member
        if (
            value.lower() not in _NULLS
            and not value.isdigit()
            and not is_fact(name, value)
            and not is_member_kept(member, b"", value, is_refused=False)
        ):
            return False

    return bool(lines) and not first.strip()


def _value_ends(text: bytes, found: Named) -> tuple[int, int]:
    """Return the minimum and the maximum end of a value."""
    start = found.start
    colon = _colon(text, found)
    if text[start : start + 1] not in (b"{", b","):
        stop = _block_value_end(text, colon)
        return stop, stop

    flow_end = _flow_value_end(text, colon + 1)
    if text.find(b"\n", start, colon) < 0 or text.startswith(_REPLACEMENT, colon + 1):
        return flow_end, flow_end

    # The previous line may have ended within text; then a block's value may continue.
    block_end = _block_value_end(text, colon)
    return flow_end, flow_end if not text[flow_end:block_end].strip(b",}] \t") else max(
        flow_end, block_end
    )


def _block_value_end(text: bytes, colon: int) -> int:
    """Return the end of the value of a block key."""
    begin = text.rfind(b"\n", 0, colon) + 1
    before = _BEFORE_KEY.match(text, begin)
    assert before is not None
    stop = line_end(text, colon + 1)
    if before[0].lstrip().startswith(b"#"):
        return stop

    value = text[colon + 1 : stop].strip()
    is_nested = _COMMENT.fullmatch(value) is not None
    column = before.end() - begin

    line = _NEXT_LINE.match(text, stop)
    while line is not None:
        if line[2] not in _BLANK:
            indentation = len(line[1])
            is_entry = (
                is_nested
                and indentation == column
                and line[2][:1] == b"-"
                and line[2][1:2] in b" \t\r"
            )
            if indentation <= column and not is_entry:
                break

            stop = line_end(text, line.start(2))

        line = _NEXT_LINE.match(text, line.end())

    if value[:1] in (*QUOTES, *OPENERS):
        # Some programs read on, however the next lines are indented.
        start = text.index(value[:1], colon)
        stop = max(stop, line_end(text, closing(text, start, _PARTS)))

    return stop


def _flow_value_end(text: bytes, start: int) -> int:
    """Return the end of the value of a flow key."""
    while text[start : start + 1].isspace():
        start += 1
    if text[start : start + 1] in (*QUOTES, *OPENERS):
        return closing(text, start, _PARTS)

    found = _FLOW_END.search(text, start)
    while (
        found is not None
        and found[0].endswith(b"\n")
        and _NO_PLAIN.match(text, found.end()) is None
    ):
        found = _FLOW_END.search(text, found.end())

    assert found is not None
    return found.start()
