"""Redact arguments of GraphQL documents by name: `login(password: "…")`, which has no JSON key.

Strategy: lexical, as with JSON: a secret name, a colon and a string. A document is usually itself a
JSON string, so its quotes may be escaped with backslashes; in a query it is percent-encoded. If the
value is a variable (`password: $p`), its value is redacted: the default in the document, and the
member of the object `variables`.

Standard: GraphQL §2.9.4 (strings, and block strings between three quotes); GraphQL over HTTP §5.
"""

import re
from collections.abc import Iterator
from operator import itemgetter
from typing import Final, NamedTuple
from urllib.parse import quote_plus, unquote_to_bytes

from proxy.enrich.formats.linear_patterns import compile_bytes, searcher
from proxy.enrich.redact.documents.extents import NameRedactor
from proxy.enrich.redact.edits import (
    MARK,
    REST,
    Edit,
    Hits,
    edited,
    rule_of_name,
    without_overlaps,
)
from proxy.enrich.redact.json_keys import secrets_of
from proxy.enrich.redact.json_values import BLANKS, End, measure, run_in
from proxy.enrich.redact.naming.keys import unescaped

_MEMBER: Final = rb'"query\\*"%b:%b\\*"' % (BLANKS, BLANKS)
_BEGINNING: Final = rb"\s*(?:(?:query|mutation|subscription|fragment)\b|\{\s*[A-Za-z_])"
_HAS_DOCUMENT: Final = searcher(compile_bytes(rb"%b|\A%b" % (_MEMBER, _BEGINNING)))
"""A JSON member with a document, or the beginning of a document."""
_ONE_HAS_DOCUMENT: Final = searcher(compile_bytes(rb"(?m)%b|^%b" % (_MEMBER, _BEGINNING)))
"""The same for several texts, one per line."""
_VARIABLES: Final = re.compile(rb'"variables\\*"%b:%b(?=\{)' % (BLANKS, BLANKS))
_DEFAULT: Final = re.compile(
    rb'\$(\w{1,64})%b:%b[\[\w!\] ]{1,128}=%b\\*"' % (BLANKS, BLANKS, BLANKS)
)
_MAX_NAME_BYTES: Final = 256
_BEFORE: Final = re.compile(rb"(?:\\[nrt])?(\w*)\Z")
_VALUE: Final = rb'%b:%b(?:\\*"|\[?\$([A-Za-z_0-9]+))' % (BLANKS, BLANKS)
_REST: Final = re.compile(rb"([\w.-]{0,128}+)%b" % _VALUE)
_ESCAPED_REST: Final = re.compile(rb"(\\u00[2-7][0-9a-fA-F][^\"\s]{0,128}?)%b" % _VALUE)
"""The rest of a name after an anchor, and the beginning of its value."""
Variables = dict[bytes, bytes]
"""Name of a variable whose value is secret → name of its argument."""
_MAX_PARAMETER_BYTES: Final = 65_536
_MARK_IN_PARAMETER: Final = b"%%22%b%%22" % MARK
_SAYS_QUERY: Final = b"query "
"""Put in front of a document in a parameter, because it may lack a keyword."""
_BEGINS_DOCUMENT: Final = re.compile(
    rb"(?:[\s+]|%20|%0[AaDd9])*+(?:(?:query|mutation|subscription|fragment)(?![A-Za-z])|\{|%7[Bb])"
)


class _Argument(NamedTuple):
    """The name of an argument or input field, up to the opening quote or variable after it."""

    start: int
    stop: int
    name: bytes
    variable: bytes | None


class GraphqlRedactor(NameRedactor):
    """Redacts the arguments of a set of names. Reusable."""

    __slots__ = ()

    def may_hold(self, text: bytes) -> bool:
        """True if a text has a document with an argument that may be secret."""
        is_one = self._scanner.has_hits(text) and next(self._arguments(text), None) is not None
        return is_one and _ONE_HAS_DOCUMENT(text)

    def redact(self, text: bytes) -> tuple[bytes, End]:
        """Replace secret strings and variables; return the same object if there are none, or no
        document.

        Returns:
            The text, and its end relative to the last secret string.
        """
        if not self._scanner.has_hits(text) or not _HAS_DOCUMENT(text):
            return text, End.OUTSIDE
        edits, variables, end = self._find(text)
        position = 0
        while variables and (found := _VARIABLES.search(text, position)) is not None:
            position, _, where = measure(text, found.end(), run_in(found.group()))
            edits += _members(text, variables, found.end(), position)
            end = end if where is End.OUTSIDE else where

        return edited(text, without_overlaps(edits), self._hits), end

    def variables_in(self, document: bytes) -> Variables:
        """Return the variables of a document whose values are secret."""
        return self._find(document)[1]

    def _find(self, text: bytes) -> tuple[list[Edit], Variables, End]:
        edits: list[Edit] = []
        variables: Variables = {}
        end = End.OUTSIDE
        stop = 0

        for found in self._arguments(text):
            if found.start < stop:
                continue
            stop = found.stop
            if found.variable:
                variables[found.variable] = found.name
            else:
                edit, end = _string(text, found.start, found.stop, found.name)
                edits.append(edit)
                stop = edit.stop

        for default in _DEFAULT.finditer(text):
            if default[1] in variables or self._names.has(default[1]):
                edit, where = _string(text, default.start(), default.end(), default[1])
                edits.append(edit)
                end = end if where is End.OUTSIDE else where

        return edits, variables, end

    def _arguments(self, text: bytes) -> Iterator[_Argument]:
        places = [(start, stop, _REST) for start, stop in self._scanner.names(text)]
        if escapes := self._scanner.escapes(text):
            places = sorted(
                [*places, *((start, start, _ESCAPED_REST) for start in escapes)], key=itemgetter(0)
            )

        for start, stop, pattern in places:
            rest = pattern.match(text, stop)
            if rest is None:
                continue

            before = _BEFORE.search(text, max(0, start - _MAX_NAME_BYTES), start)
            assert before is not None
            name = unescaped(text[before.start(1) : rest.end(1)])
            if self._names.has(name):
                yield _Argument(before.start(1), rest.end(), name, rest[2])

    def redact_parameter(self, value: bytes) -> bytes:
        """Redact the percent-encoded document of a GET; return the same object if it has no secret.

        A mark replaces what is after the first 64 KiB, before redaction and after it.
        """
        if len(value) <= _MAX_PARAMETER_BYTES:
            return self._redact_document(value)
        if _BEGINS_DOCUMENT.match(value) is None:
            return value

        # The mark of an earlier redaction is not a part of the document.
        kept = value.removesuffix(MARK)[:_MAX_PARAMETER_BYTES]
        edited(value, [Edit(len(kept), len(value), MARK, REST)], self._hits)
        redacted = self._redact_document(kept)
        return redacted[: _cut_of(redacted)] + MARK

    def _redact_document(self, value: bytes) -> bytes:
        plain = unquote_to_bytes(value.replace(b"+", b" "))
        document = _SAYS_QUERY + plain
        redacted, _ = self.redact(document)
        if redacted is document:
            return value
        return quote_plus(redacted[len(_SAYS_QUERY) :], safe="[]").encode()


def _cut_of(redacted: bytes) -> int:
    """Return where a redacted parameter is cut: at the limit, or before the mark that is there."""
    stop = _MAX_PARAMETER_BYTES
    start = redacted.find(_MARK_IN_PARAMETER, stop - len(_MARK_IN_PARAMETER) + 1)
    if start >= 0:
        return min(start, stop)
    return stop


def redact_members(text: bytes, variables: Variables, hits: Hits) -> bytes:
    """Replace the values of variables in an object of variables, and count them in `hits`."""
    if variables:
        return edited(text, without_overlaps(_members(text, variables, 0, len(text))), hits)
    return text


def _members(text: bytes, variables: Variables, start: int, stop: int) -> list[Edit]:
    edits: list[Edit] = []
    member = re.compile(
        rb'"(%b)\\*"%b:%b' % (b"|".join(map(re.escape, sorted(variables))), BLANKS, BLANKS)
    )
    while (found := member.search(text, start, stop)) is not None:
        some, start, _ = secrets_of(
            text, found.end(), found.start(), run_in(found[0]), variables[found[1]]
        )
        edits += (edit._replace(rule=rule_of_name(found[1])) for edit in some)

    return edits


def _string(text: bytes, start: int, stop: int, name: bytes) -> tuple[Edit, End]:
    """Return the edit for the string whose quote is at `stop - 1`, and the end of the text relative
    to it.
    """
    before = text[start : stop - 1]
    escape = before[len(before.rstrip(b"\\")) :]
    start = stop - 1 - len(escape)

    fence = (escape + b'"') * 3
    if text.startswith(fence, start):
        stop = text.find(fence, start + len(fence))
        stop, end = (len(text), End.IN_STRING) if stop < 0 else (stop + len(fence), End.OUTSIDE)
    else:
        stop, _, end = measure(text, start, len(escape))

    return Edit(start, stop, b'%b"%b%b"' % (escape, MARK, escape), rule_of_name(name)), end
