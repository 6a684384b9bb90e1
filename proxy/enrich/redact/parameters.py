"""Redact parameters by name: `a=b&c=d`, of queries and of forms. Pure.

A semicolon separates for some servers: a secret behind one is redacted up to the ampersand. Of two names too short to
mean one thing, `u` beside `p` is a user and the password (InfluxDB, Subsonic); `p` alone, or a short number, is a page.
"""

import re
from typing import Final

from proxy.enrich.redact.json_keys import MARK
from proxy.enrich.redact.names import SecretNames
from proxy.enrich.redact.octets import EQUALS, HASH, QUESTION, SEMICOLON

SHORT_PASSWORD: Final = b"p"
_USER: Final = b"u="
_PAGE: Final = re.compile(rb"p=\d{0,3}")
_SUBDELIMITER: Final = re.compile(rb"([;?#])")


def redact_parameters(text: bytes, names: SecretNames) -> bytes:
    if EQUALS not in text:
        return text
    parts = text.split(b"&")
    has_user: bool | None = None
    for index, part in enumerate(parts):
        name, equals, _ = part.partition(b"=")
        if not equals:
            continue
        if name == SHORT_PASSWORD and has_user is None:  # asked once: thousands of parts may have this name
            has_user = any(other.startswith(_USER) for other in parts)
        if names.has(name) or (name == SHORT_PASSWORD and has_user and _PAGE.fullmatch(part) is None):
            parts[index] = name + b"=" + MARK
        elif SEMICOLON in part or QUESTION in part or HASH in part:
            parts[index] = _redact_subparts(part, names)
    return b"&".join(parts)


def _redact_subparts(part: bytes, names: SecretNames) -> bytes:
    pieces = _SUBDELIMITER.split(part)
    for index in range(0, len(pieces), 2):
        name, equals, _ = pieces[index].partition(b"=")
        if equals and names.has(name):
            return b"".join((*pieces[:index], name, b"=", MARK))
    return part
