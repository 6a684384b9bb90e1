r"""Redact arguments of GraphQL documents by name: `login(password: "…")`, which no JSON key stands before.

Strategy: lexical, as with JSON: a secret name, a colon and a string. A document is mostly itself a string of JSON, so
its quotes may have backslashes before them; in a query it is percent-encoded. Where a variable is the value (`password:
$p`), it goes where it has one: as a default of the document, and as a member of the object `variables`.

Standard: GraphQL §2.9.4 (strings, and block strings between three quotes); GraphQL over HTTP §5.
"""

import re
from typing import Final
from urllib.parse import quote_plus, unquote_to_bytes

from proxy.enrich.formats.linear_patterns import compile_bytes, held_by
from proxy.enrich.redact.json_keys import secrets_of
from proxy.enrich.redact.json_values import BLANKS, MARK, MAX_HITS, Edit, End, apart, edited, measure, run_in
from proxy.enrich.redact.names import SecretNames
from proxy.enrich.redact.naming.spelling import spelled, unescaped

DOCUMENT: Final = b"".join((
    rb'"query\\*"', BLANKS, b":", BLANKS, rb'\\*"',
    rb"|\A\s*(?:(?:query|mutation|subscription|fragment)\b|\{\s*[A-Za-z_])",
))  # fmt: skip
"""A member of JSON that has one, or the beginning of one; also for a pre-filter."""
_HAS_DOCUMENT: Final = held_by(compile_bytes(DOCUMENT))
_VARIABLES: Final = re.compile(rb'"variables\\*"%b:%b(?=\{)' % (BLANKS, BLANKS))
_DEFAULT: Final = re.compile(rb'\$(\w{1,64})%b:%b[\[\w!\] ]{1,128}=%b\\*"' % (BLANKS, BLANKS, BLANKS))
Variables = dict[bytes, bytes]
"""Name of a variable whose value is secret → name of the argument that it is for."""
_MAX_PARAMETER_BYTES: Final = 65_536
_BEGINS_DOCUMENT: Final = re.compile(
    rb"(?:[\s+]|%20|%0[AaDd9])*+(?:(?:query|mutation|subscription|fragment)(?![A-Za-z])|\{|%7[Bb])"
)


def argument_pattern(names: SecretNames) -> bytes:
    """Build the pattern of arguments and of fields of input objects, up to the quote of a string or with a variable."""
    value = rb'(?:\\*"|\[?\$([A-Za-z_0-9]+))'
    return b"".join((rb"(?i)(?:\b|\\[nrt])(", spelled(names, rb"\w*"), b")", BLANKS, b":", BLANKS, value))


class GraphqlRedactor:
    """Redacts the arguments of a set of names. Pure and reusable; compiled once."""

    __slots__ = ("_names", "_pattern")

    def __init__(self, names: SecretNames) -> None:
        self._names = names
        self._pattern = compile_bytes(argument_pattern(names))

    def redact(self, text: bytes) -> tuple[bytes, End]:
        """Replace secret strings and variables; the same object comes back when there are none, or no document.

        Returns:
            The text, and whether it ended within a secret string.
        """
        if (self._pattern.search(text) is None and _DEFAULT.search(text) is None) or not _HAS_DOCUMENT(text):
            return text, End.OUTSIDE
        edits, variables, end = self._find(text)
        position = 0
        while variables and (found := _VARIABLES.search(text, position)) is not None:
            position, _, where = measure(text, found.end(), run_in(found.group()))
            edits += _members(text, variables, found.end(), position)
            end = end if where is End.OUTSIDE else where
        return edited(text, apart(edits)), end

    def variables_in(self, document: bytes) -> Variables:
        """Find the variables of a document whose values are secret."""
        return self._find(document)[1]

    def _find(self, text: bytes) -> tuple[list[Edit], Variables, End]:
        edits: list[Edit] = []
        variables: Variables = {}
        end = End.OUTSIDE
        found = self._pattern.search(text)
        while found is not None:
            stop = found.end()
            if self._names.has(unescaped(found[1])):
                if len(edits) == MAX_HITS:
                    return [*edits, (found.start(), len(text), MARK)], variables, End.IN_STRING
                if found[2]:
                    variables[found[2]] = found[1]
                else:
                    edit, end = _string(text, found)
                    edits.append(edit)
                    stop = edit[1]
            found = self._pattern.search(text, stop)
        for found in _DEFAULT.finditer(text):
            if found[1] in variables or self._names.has(found[1]):
                edit, where = _string(text, found)
                edits.append(edit)
                end = end if where is End.OUTSIDE else where
        return edits, variables, end

    def redact_parameter(self, value: bytes) -> bytes:
        """Redact the document of a GET, percent-encoded; the same object comes back when it has no secret.

        What is behind the first 64 KiB of a document counts as one secret.
        """
        if len(value) > _MAX_PARAMETER_BYTES:
            if _BEGINS_DOCUMENT.match(value) is None:
                return value
            return self.redact_parameter(value[:_MAX_PARAMETER_BYTES]) + MARK
        document = b"query " + unquote_to_bytes(value.replace(b"+", b" "))
        redacted, _ = self.redact(document)
        return value if redacted is document else quote_plus(redacted[6:], safe="[]").encode()


def redact_members(text: bytes, variables: Variables) -> bytes:
    """Replace the values of variables in an object that has them, such as a parameter's."""
    return edited(text, apart(_members(text, variables, 0, len(text)))) if variables else text


def _members(text: bytes, variables: Variables, start: int, stop: int) -> list[Edit]:
    edits: list[Edit] = []
    member = re.compile(rb'"(%b)\\*"%b:%b' % (b"|".join(map(re.escape, sorted(variables))), BLANKS, BLANKS))
    while (found := member.search(text, start, stop)) is not None:
        if len(edits) > MAX_HITS:
            return [*edits, (found.start(), stop, MARK)]
        some, start, _ = secrets_of(text, found.end(), found.start(), run_in(found[0]), variables[found[1]])
        edits += some
    return edits


def _string(text: bytes, found: re.Match[bytes]) -> tuple[Edit, End]:
    """Return what stands in for the string whose quote ends a match, and where the text ends with respect to it."""
    before = found.group()[:-1]
    escape = before[len(before.rstrip(b"\\")) :]
    start = found.end() - 1 - len(escape)
    fence = (escape + b'"') * 3
    if text.startswith(fence, start):
        stop = text.find(fence, start + len(fence))
        stop, end = (len(text), End.IN_STRING) if stop < 0 else (stop + len(fence), End.OUTSIDE)
    else:
        stop, _, end = measure(text, start, len(escape))
    return (start, stop, b'%b"%b%b"' % (escape, MARK, escape)), end
