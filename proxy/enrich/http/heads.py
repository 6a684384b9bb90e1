"""Read stored heads: start line and fields. Tolerant, because refused requests are stored too.

Lines end with CRLF, LF or CR; a line that begins with a blank continues the one before (RFC 9112 §5.2); a line without
a colon is left out. Nothing is decoded.
"""

import re
from typing import Final

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")

Field = tuple[bytes, bytes]
"""Lower-case name, value without blanks around it."""


def parse_head(head: bytes) -> tuple[bytes, list[Field]]:
    """Split a head into its start line and its fields, in order, repeated ones apart."""
    lines = head.split(b"\r\n")
    if head.count(b"\n") + head.count(b"\r") != 2 * (len(lines) - 1):
        lines = _LINE_END.split(head)
    fields: list[Field] = []
    for line in lines[1:]:
        if line[:1] in (b" ", b"\t") and fields:
            name, value = fields[-1]
            fields[-1] = (name, value + b" " + line.strip())
            continue
        raw_name, colon, value = line.partition(b":")
        if colon:
            fields.append((raw_name.strip().lower(), value.strip()))
    return lines[0], fields


def field_of(fields: list[Field], name: bytes) -> bytes | None:
    """Return the value of a field by its lower-case name, repeated ones joined with a comma; None without it."""
    values = [value for field, value in fields if field == name]
    return b", ".join(values) if values else None
