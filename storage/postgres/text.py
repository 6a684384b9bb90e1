"""Text in a form that Postgres can store: NUL becomes three control characters. Also patterns of
text.

Strategy: the characters 0 to 3 become U+0001 followed by the two bits of their number, written with
U+0002 and U+0003. Afterwards no other text has any of these characters, so a code is only found
where one begins. A text contains a part exactly if its escaped form contains the escaped part, and
searches work on the escaped form. All other characters stay unchanged.

Invariant: `unescape(escape(text)) == text`, and `part in text` equals `escape(part) in
escape(text)`.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from storage.relational.writes.codec import OWN_ID

_ODD: Final = re.compile("[\0-\3]")
_CODES: Final = {"\0": "\1\2\2", "\1": "\1\2\3", "\2": "\1\3\2", "\3": "\1\3\3"}
_MEANINGS: Final = {code: character for character, code in _CODES.items()}
_OWN_ID: Final = b"\1"
"""No text is encoded like this."""
_CODE: Final = re.compile("\1[\2\3]{2}")


def escape(text: str) -> str:
    # This check takes 40 ns, the pattern 200, and nearly all text passes the check.
    if text.isprintable():
        return text
    return _ODD.sub(lambda match: _CODES[match[0]], text)


def unescape(text: str) -> str:
    """Return the original of a text that `escape` has escaped."""
    if "\1" in text:
        return _CODE.sub(lambda match: _MEANINGS[match[0]], text)
    return text


def encode(value: str | int) -> bytes:
    """Encode a text, or `OWN_ID`, for the server."""
    if value == OWN_ID:
        return _OWN_ID
    return escape(str(value)).encode()


def decode(sent: bytes) -> str | int:
    """Decode a text from the server, or `OWN_ID`."""
    if sent == _OWN_ID:
        return OWN_ID
    return unescape(sent.decode())


def like(column: str, parts: Sequence[str], add: Callable[[Any], str]) -> str:
    """Return the condition that a text column matches lower-case parts."""
    # With this collation `lower` changes only ASCII.
    lowered = f'lower({column} COLLATE "C")'
    if len(parts) == 1:
        return f"{lowered} = {add(parts[0])}"
    if len(parts) == 3 and not parts[0] and not parts[2]:
        return f"strpos({lowered}, {add(parts[1])}) > 0"

    pattern = "%".join(
        part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for part in parts
    )
    return f"{lowered} LIKE {add(pattern)}"
