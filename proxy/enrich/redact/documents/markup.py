"""Redact XML and HTML by name: element contents (`<wsse:Password>`), attributes, and named values.

Strategy: lexical, as with JSON. Around the anchors of the scanner are tags of elements with a
secret local name, attributes with one, and names of another value: in attributes (`<input
name="csrf_token" value="…">`, `<input type=password value=…>`, `<entry key="password">…`) and in
elements (`<name>password</name><value>…`, in XML-RPC, Hadoop and property lists). The content of an
element is redacted up to its closing tag, including CDATA and inner elements.

Invariant: no byte survives of a value whose name was seen, wherever the text ends; redacting twice
changes nothing. Standard: XML 1.0 §3.1, Namespaces in XML §4.
"""

import re
from typing import Final

from proxy.enrich.redact.documents.extents import NameRedactor
from proxy.enrich.redact.edits import MARK, Edit, edited, rule_of_name
from proxy.enrich.redact.json_values import KEPT, End
from proxy.enrich.redact.naming.named import NameFinder, Naming

_PREFIX: Final = rb"(?:[A-Za-z0-9_.-]+:)?"
_PART: Final = rb"[A-Za-z0-9_.-]"
_NAMINGS: Final = (
    Naming(rb"<" + _PREFIX, rb"(?:\s[^<>]*)?>", _PART),
    Naming(
        rb"<(?:name|key)>\s*" + _PREFIX, rb"\s*</(?:name|key)>\s*<(?:value|string|data)>", _PART
    ),
    Naming(rb"\s" + _PREFIX, rb"""\s*=\s*["']""", _PART),
    Naming(
        rb"""\s(?:name|key|property|type|autocomplete)\s*=\s*["']?""" + _PREFIX,
        rb"""["'\s/>]""",
        _PART,
    ),
)
_BEFORE_TEXT: Final = b"\xef\xbb\xbf \t\r\n"
_MAX_TAG_BYTES: Final = 4096
"""Maximum size of a tag with a name and a value."""
_TAG_NAME: Final = re.compile(rb"<([^\s<>/]+)")
_NAME_ENDS: Final = (b">", b"/", b" ", b"\t", b"\r", b"\n")
_VALUE: Final = re.compile(rb"""\s(?:value|content)\s*=\s*(["']?)""", re.IGNORECASE)
_UNQUOTED: Final = re.compile(rb"[^\s>]*")
_CHILD: Final = re.compile(rb"\s*<value(?:\s[^<>]*)?>", re.IGNORECASE)
_VOID: Final = (b"input", b"meta")
"""HTML elements without content."""


def is_markup(text: bytes) -> bool:
    """Return True if a text begins like markup. Templates may write many empty lines in front of
    it.
    """
    return (text[:64].lstrip(_BEFORE_TEXT) or text.lstrip(_BEFORE_TEXT))[:1] == b"<"


class MarkupRedactor(NameRedactor):
    """Redacts the values of a set of names. Reusable."""

    __slots__ = ()

    def redact(self, text: bytes) -> tuple[bytes, End]:
        """Replace secret values; return the same object if nothing changes.

        Returns:
            The text, and its end relative to the last secret value.
        """
        edits: list[Edit] = []
        redacted_until = 0
        finder = NameFinder(text, self._names, _NAMINGS, self._scanner)

        found = finder.search(0)
        while found is not None:
            rule = rule_of_name(found.name)
            start, stop, end = _value(text, found.start, found.stop)
            if end is not End.OUTSIDE:
                edits.append(Edit(start, len(text), MARK, rule))
                return edited(text, edits, self._hits), end

            # One letter is a keyboard shortcut (`accesskey`).
            if (
                start >= redacted_until
                and stop - start > 1
                and text[start:stop].strip() not in KEPT
            ):
                edits.append(Edit(start, stop, MARK, rule))
                redacted_until = stop

            found = finder.search(max(found.stop - 1, redacted_until))

        return edited(text, edits, self._hits), End.OUTSIDE


def _value(text: bytes, start: int, stop: int) -> tuple[int, int, End]:
    """Return the span of the value for a match, and the end of the text relative to it."""
    if text[start : start + 1] == b"<":
        return _content(text, text.rindex(b"<", start, stop), stop)
    if text[start : stop - 1].rstrip().endswith(b"="):
        return _quoted(text, stop, text[stop - 1 : stop])
    return _named(text, start, stop)


def _quoted(text: bytes, start: int, quote: bytes) -> tuple[int, int, End]:
    if not quote:
        found = _UNQUOTED.match(text, start)
        assert found is not None
        return start, found.end(), End.IN_STRING if found.end() == len(text) else End.OUTSIDE

    closing = text.find(quote, start)
    if closing < 0:
        return (start, len(text), End.IN_STRING)

    return (start, closing, End.OUTSIDE)


def _content(text: bytes, start: int, stop: int) -> tuple[int, int, End]:
    """Return the span of the content of the element whose tag is at `text[start:stop]`."""
    name = _TAG_NAME.match(text, start)
    if text[stop - 2 : stop - 1] == b"/" or name is None:  # The element is empty.
        return stop, stop, End.OUTSIDE

    closing = _closing(text, name[1], stop)
    if closing < 0:
        return (stop, len(text), End.IN_CONTAINER)

    return (stop, closing, End.OUTSIDE)


def _closing(text: bytes, name: bytes, start: int) -> int:
    """Return the start of the closing tag of an element, past inner elements of the same name; -1
    without one.
    """
    depth = 1
    at = start
    while (found := text.find(name, at)) >= 0:
        at = found + len(name)
        if text[at : at + 1] not in _NAME_ENDS:
            continue
        if text.endswith(b"</", start, found):
            depth -= 1
            if depth == 0:
                return found - 2
        elif text.endswith(b"<", start, found):
            tag_end = text.find(b">", at, at + _MAX_TAG_BYTES)
            depth += tag_end < 0 or text[tag_end - 1 : tag_end] != b"/"

    return -1


def _named(text: bytes, start: int, stop: int) -> tuple[int, int, End]:
    """Return the value of an element with a secret name in an attribute: another attribute, or its
    content.
    """
    begin = text.rfind(b"<", max(0, start - _MAX_TAG_BYTES), start)
    if begin >= 0 and text.find(b">", begin, start) < 0:
        name = _TAG_NAME.match(text, begin)
    else:
        name = None
    if name is None:
        return stop, stop, End.OUTSIDE

    close = text.find(b">", stop - 1, stop + _MAX_TAG_BYTES)
    value = _VALUE.search(
        text, begin, close if close >= 0 else min(len(text), stop + _MAX_TAG_BYTES)
    )
    if value is not None:
        return _quoted(text, value.end(), value[1])
    if close < 0 or text[close - 1 : close] == b"/" or name[1].lower() in _VOID:
        return stop, stop, End.OUTSIDE
    if (child := _CHILD.match(text, close + 1)) is not None:
        return _content(text, text.index(b"<", close), child.end())

    closing = text.find(b"<", close)
    if closing < 0:
        return (close + 1, len(text), End.IN_STRING)

    return (close + 1, closing, End.OUTSIDE)
