"""Make text safe to show on a terminal or in a log, and hide credentials in addresses.

Controls (C0, DEL, C1) move the cursor, retitle the window or write to the clipboard; direction
marks and overrides (UAX #9) reorder a line for the reader; other line ends break it. All of these
are spelt out. Tabs and line feeds stay. Standard library only.
"""

import re
from typing import Final

UNSAFE: Final = (
    # content of a character class of `re`
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
)
_UNSAFE: Final = re.compile(f"[{UNSAFE}]")
_SCHEME: Final = re.compile(r"\W*(?:[A-Za-z][A-Za-z0-9+.-]*:/+)?")
"""Beginning of an address, possibly after a quote."""


def visible(text: str) -> str:
    """Return a text with its control characters written as escapes."""
    return _UNSAFE.sub(
        lambda found: (
            f"\\x{ord(found[0]):02x}" if ord(found[0]) < 256 else f"\\u{ord(found[0]):04x}"
        ),
        text,
    )


def visible_line(text: str) -> str:
    """Return a text as one line: line feeds and tabs are spelt out as well."""
    return visible(text).replace("\n", "\\x0a").replace("\t", "\\x09")


def without_credentials(address: str) -> str:
    """Replace user and password in an address by `[REDACTED]`, also in one that is malformed or in
    quotes.
    """
    credentials, at, place = address.rpartition("@")
    if ":" not in credentials and "//" not in credentials:
        return address
    scheme = _SCHEME.match(credentials)
    return f"{scheme[0] if scheme else ''}[REDACTED]{at}{place}"


def json_escaped(text: str) -> str:
    """Escape characters that a JSON encoder leaves alone, so that the document stays equivalent."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
