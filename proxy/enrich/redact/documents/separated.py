"""Redact values separated by commas, semicolons, tabs or bars, by the names of their columns.

Strategy: the first row names the columns. After an empty line another table may follow with its own
names, as in InfluxDB's responses. One pattern finds the rows, quoted fields included; a row is
split into fields only if a name is secret.

Invariant: no value survives of a column whose name was seen; redacting twice changes nothing.
Standard: RFC 4180. Excel's `sep=;` and lines that begin with `#` may precede the names.
"""

import re
from typing import Final

from proxy.enrich.redact.edits import MARK, Edit, Hits, edited, rule_of_name
from proxy.enrich.redact.json_values import KEPT, End
from proxy.enrich.redact.names import SecretNames

_SEPARATORS: Final = (b",", b";", b"\t", b"|")
_BOM: Final = b"\xef\xbb\xbf"
_LINE_END: Final = rb"(?:\r\n|\n|\r|\Z)"
_FIELD: Final = rb'(?:"(?:[^"]|"")*+(?:"|\Z)[^%b\r\n]*+|[^%b\r\n]*+)'
_NOT_NAMES: Final = re.compile(rb"#|sep=.?[\r\n]", re.IGNORECASE)
_EMPTY_LINE: Final = re.compile(rb"(?>\r\n|\n|\r) *+[\r\n]")
_QUOTED_MARK: Final = b'"%b"' % MARK


class _Rows:
    """Patterns of the rows and fields for one separator."""

    __slots__ = ("fields", "row")

    def __init__(self, separator: bytes) -> None:
        mark = re.escape(separator)
        field = _FIELD.replace(b"%b", mark)
        self.fields = re.compile(rb"(%b)(?:%b|%b)" % (field, mark, _LINE_END))
        self.row = re.compile(rb"%b(?:%b%b)*+%b" % (field, mark, field, _LINE_END))


_ROWS: Final = {separator: _Rows(separator) for separator in _SEPARATORS}


class SeparatedRedactor:
    """Redacts the columns of a set of names."""

    __slots__ = ("_hits", "_names")

    def __init__(self, names: SecretNames, hits: Hits) -> None:
        """Redact the columns of some names, and count their values in `hits`."""
        self._names = names
        self._hits = hits

    def redact(self, text: bytes) -> tuple[bytes, End]:
        """Replace the values of secret columns; return the same object if nothing changes.

        Returns:
            The text, and `End.IN_CONTAINER` if it has secret columns: the columns of a tail are
                then unknown.
        """
        edits: list[Edit] = []
        rows = _ROWS[b","]
        secret = dict[int, str]()
        is_heading = True
        has_secret = False

        at = len(_BOM) if text.startswith(_BOM) else 0
        while at < len(text):
            row = rows.row.match(text, at)
            assert row is not None
            start = at
            at = row.end()

            if not row[0].strip(b" \r\n"):  # A row of tabs has empty values.
                is_heading = True
            elif is_heading and _NOT_NAMES.match(row[0]) is None:
                rows = _ROWS[_separator(row[0])]
                row = rows.row.match(text, start)
                assert row is not None
                at = row.end()
                secret = self._secret_columns(rows, row[0])
                is_heading = False
                has_secret = has_secret or bool(secret)
                # Only an empty line begins another table.
                if not secret and _EMPTY_LINE.search(text, at - 1) is None:
                    break
            elif secret:
                edits += _edits(rows, secret, text, start, at)

        return edited(text, edits, self._hits), End.IN_CONTAINER if has_secret else End.OUTSIDE

    def _secret_columns(self, rows: _Rows, heading: bytes) -> dict[int, str]:
        """Return the ids of the rules of secret columns, by column number."""
        names = [
            found[1].strip(b"\"' \t").replace(b" ", b"_") for found in rows.fields.finditer(heading)
        ]
        return {
            column: rule_of_name(name)
            for column, name in enumerate(names)
            if name and self._names.has(name)
        }


def _separator(heading: bytes) -> bytes:
    """Return the most frequent separator of a heading."""
    return max(_SEPARATORS, key=heading.count)


def _edits(rows: _Rows, secret: dict[int, str], text: bytes, start: int, stop: int) -> list[Edit]:
    """Return the edits for the secret values of a row."""
    edits: list[Edit] = []
    for column, found in enumerate(rows.fields.finditer(text, start, stop)):
        if column in secret:
            value = found[1].strip()
            if value.lower() not in KEPT and value.strip(b'"') not in (b"", MARK):
                if value.startswith(b'"'):
                    replacement = _QUOTED_MARK
                else:
                    replacement = MARK
                edits.append(Edit(*found.span(1), replacement, secret[column]))

    return edits
