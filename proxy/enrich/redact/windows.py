"""Cut half secrets off the edges of a body's window."""

import re
from collections.abc import Callable
from typing import Final

from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.redact.edits import MARK
from proxy.enrich.redact.forms import TOKEN_BYTES
from proxy.enrich.redact.json_values import End
from proxy.enrich.redact.kinds import Kind
from proxy.enrich.redact.octets import AMPERSAND
from proxy.enrich.redact.scanner import begins_secret

EDGE_BYTES: Final = 256
"""Distance from a window's edge within which half a secret is searched: more than nearly all keys
have.
"""
_WORD_END: Final = re.compile(rb"\W")
_KEY_OR_LINE: Final = compile_bytes(rb'"(?:[^"\\\n]|\\.)*"[ \t\r]*:|\n')
_GROUPS: Final = re.compile(
    rb"\b(?:[2-6][0-9]{3}|[A-Za-z]{2}[0-9]{2})(?:[ +-][0-9A-Za-z]{4,6}){1,7}[ +-]?\Z"
)
"""The beginning of a printed card or account number."""
_KEY_CLOSES: Final = re.compile(rb"[^\"{}]*?-----END [A-Z0-9 ]{0,64}PRIVATE KEY[A-Z ]{0,64}-----")
"""The end of a private key whose beginning lies outside the window."""
Begins = Callable[[bytes], bool]
"""True if a run of token bytes begins like a known secret."""


def cut_end(text: bytes, begins: Begins = begins_secret) -> bytes:
    """Cut a possible beginning of a secret off the end of a window, back to the last delimiter."""
    run = len(text) - len(text.rstrip(TOKEN_BYTES))
    if run > EDGE_BYTES and not begins(text[-run:]):
        run = EDGE_BYTES
    text = text[: len(text) - run]
    groups = _GROUPS.search(text, max(0, len(text) - EDGE_BYTES))
    if groups is None:
        return text
    return text[: groups.start()]


def cut_start(tail: bytes, end: End, kind: Kind, boundary: bytes | None) -> bytes:
    """Cut a possible rest of a secret off the start of a tail window.

    The cut ends at the next part, parameter, JSON key or line. If none is within `EDGE_BYTES`,
    these bytes and the token characters after them are cut. If the head window ended within a
    secret, the cut ends at the next delimiter, however far.
    """
    is_secret = end is End.IN_STRING
    closing = _KEY_CLOSES.match(tail)
    if closing is not None:
        tail = tail[closing.end() :]
    if boundary is not None:
        start = tail.find(b"--" + boundary)
    elif kind == "form":
        if AMPERSAND in tail:
            return tail[tail.find(b"&") :]
        return b""
    else:
        found = _KEY_OR_LINE.search(tail)
        start = -1 if found is None else found.start()

    if 0 <= start <= EDGE_BYTES or (is_secret and start >= 0):
        return tail[start:]
    if is_secret:
        return b""

    return tail[EDGE_BYTES:].lstrip(TOKEN_BYTES)


def without_beginning(text: bytes, begins: Begins = begins_secret) -> bytes:
    """Replace the end of a text that may be cut, if a known secret begins there."""
    at = len(text.rstrip(TOKEN_BYTES))
    while at < len(text) and not begins(text[at:]):
        word_end = _WORD_END.search(text, at)
        at = len(text) if word_end is None else word_end.end()
    if at < len(text):
        return text[:at] + MARK
    return text
