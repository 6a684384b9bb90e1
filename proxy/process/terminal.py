"""Text that is only shown, on a terminal or in a log: what a terminal, or a reader's eye, would obey
is spelt out, and an address has no credentials. Standard library only.

Controls (C0, DEL, C1) move the cursor, retitle the window or write to the clipboard; direction
marks and overrides (UAX #9) show a line in another order than it is read; other line ends break it.
Tabs and line feeds stay.
"""

import re
from typing import Final

UNSAFE: Final = (
    # In a class of `re`.
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
)
_UNSAFE: Final = re.compile(f"[{UNSAFE}]")
_SCHEME: Final = re.compile(r"\W*(?:[A-Za-z][A-Za-z0-9+.-]*:/+)?")
"""What an address begins with, perhaps in quotes."""


def visible(text: str) -> str:
    """Spell out control characters."""
    return _UNSAFE.sub(
        lambda found: (
            f"\\x{ord(found[0]):02x}" if ord(found[0]) < 256 else f"\\u{ord(found[0]):04x}"
        ),
        text,
    )


def visible_line(text: str) -> str:
    """Make a text one line: line feeds and tabs are spelt out too."""
    return visible(text).replace("\n", "\\x0a").replace("\t", "\\x09")


def without_credentials(address: str) -> str:
    """Hide user and password of an address, also of one that is malformed or in quotes."""
    credentials, at, place = address.rpartition("@")
    if ":" not in credentials and "//" not in credentials:
        return address
    scheme = _SCHEME.match(credentials)
    return f"{scheme[0] if scheme else ''}[REDACTED]{at}{place}"


def json_escaped(text: str) -> str:
    """Spell out what a JSON encoder lets pass, as JSON does, so that the document stays what it is."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
