r"""Redact arguments of GraphQL documents by name: `login(password: "…")`, which no JSON key stands before.

Strategy: lexical, as with JSON: a secret name, a colon and a string. A document is mostly itself a string of JSON, so
its quotes may have backslashes before them; in a query it is percent-encoded. Values of variables are JSON, and a
variable (`password: $password`) is none.

Standard: GraphQL §2.9.4 (strings, and block strings between three quotes); GraphQL over HTTP §5.
"""

import re
from typing import Final
from urllib.parse import quote_plus, unquote_to_bytes

from proxy.enrich.formats.linear_patterns import compile_bytes, held_by
from proxy.enrich.redact.json_keys import BLANKS, MARK, MAX_HITS, Edit, End, edited, measure, or_ending, spelled
from proxy.enrich.redact.names import SecretNames

DOCUMENT: Final = b"".join((
    rb'"query\\*"', BLANKS, b":", BLANKS, rb'\\*"',
    rb"|\A\s*(?:(?:query|mutation|subscription|fragment)\b|\{\s*[A-Za-z_])",
))  # fmt: skip
"""A member of JSON that has one, or the beginning of one; also for a pre-filter."""
_HAS_DOCUMENT: Final = held_by(compile_bytes(DOCUMENT))
_MAX_PARAMETER_BYTES: Final = 65_536
_BEGINS_DOCUMENT: Final = re.compile(
    rb"(?:[\s+]|%20|%0[AaDd9])*+(?:(?:query|mutation|subscription|fragment)(?![A-Za-z])|\{|%7[Bb])"
)


def argument_pattern(names: SecretNames) -> bytes:
    """Build the pattern of arguments and of fields of input objects, up to the quote that opens their string."""
    name = or_ending(spelled(names), rb"\w*", spelled(names.endings))
    return b"".join((rb"(?i)(?:\b|\\[nrt])", name, BLANKS, b":", BLANKS, rb'\\*"'))


class GraphqlRedactor:
    """Redacts the arguments of a set of names. Pure and reusable; compiled once."""

    __slots__ = ("_pattern",)

    def __init__(self, names: SecretNames) -> None:
        self._pattern = compile_bytes(argument_pattern(names))

    def redact(self, text: bytes) -> tuple[bytes, End]:
        """Replace secret strings; the same object comes back when there are none, or no document.

        Returns:
            The text, and whether it ended within a secret string.
        """
        if (found := self._pattern.search(text)) is None or not _HAS_DOCUMENT(text):
            return text, End.OUTSIDE
        edits: list[Edit] = []
        end = End.OUTSIDE
        while found is not None:
            if len(edits) == MAX_HITS:
                edits.append((found.start(), len(text), MARK))
                return edited(text, edits), End.IN_STRING
            before = found.group()[:-1]
            escape = before[len(before.rstrip(b"\\")) :]
            start = found.end() - 1 - len(escape)
            stop, end = _string_end(text, start, escape)
            edits.append((start, stop, b'%b"%b%b"' % (escape, MARK, escape)))
            found = self._pattern.search(text, stop)
        return edited(text, edits), end

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


def _string_end(text: bytes, start: int, escape: bytes) -> tuple[int, End]:
    """Return where the string ends that begins at `start`, and where the text ends with respect to it."""
    fence = (escape + b'"') * 3
    if text.startswith(fence, start):
        stop = text.find(fence, start + len(fence))
        return (len(text), End.IN_STRING) if stop < 0 else (stop + len(fence), End.OUTSIDE)
    stop, _, end = measure(text, start, len(escape))
    return stop, end
