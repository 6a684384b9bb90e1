"""Redact header fields whose values are only partly secret: cookies, subprotocols, binary metadata.

Cookies (RFC 6265) keep their names and known attributes. Everything else counts as a value: lists
glued with commas, unclosed quotes, unknown attributes, and names that are not short tokens.

Subprotocols (RFC 6455 §11.3.4) keep their names and lose credentials. A browser script can set no
other header of a handshake, so servers accept tokens in this one: Bokeh, Jupyter, Kubernetes
(`base64url.bearer.authorization.k8s.io.…`), Phoenix, Streamlit. A name consists of words; a long
run of mixed letters and digits is a credential. `name.token` keeps its name.
"""

import re
from binascii import a2b_base64
from collections.abc import Callable
from typing import Final

from proxy.enrich.redact.checks import is_random
from proxy.enrich.redact.edits import MARK
from proxy.enrich.redact.names import normalise

_NAME: Final = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]|" + re.escape(MARK) + rb"){1,64}")
"""A cookie's name; part of it may already have been redacted by format."""
_PIECE: Final = re.compile(rb'[^;"]*(?:"[^"]*"[^;"]*)*(?:;|\Z)')
PATH_PARAMETER: Final = re.compile(rb"(;)([^=;/]{1,200})=([^;/]*)")
LINE_END: Final = re.compile(rb"(\r\n|\n|\r)")
URL_QUERY: Final = re.compile(rb"""[?#][^\s"<>]*""")
URL_PATH: Final = re.compile(rb"""[^\s"<>?#]+""")
URL_FIELD: Final = re.compile(
    rb"(?:referer|(?:content-)?location|destination|link|refresh|x-(?:original|rewrite|forwarded)-ur[il]):",
    re.IGNORECASE,
)
HOST_USER: Final = re.compile(
    rb"\A((?:(?:x-forwarded-)?host|:authority):\s*)[^@\s]*@", re.IGNORECASE
)
BINARY_FIELD: Final = re.compile(rb"\A[^:]*-bin:", re.IGNORECASE)
"""A line for `redact_binary`."""
_BASE64: Final = re.compile(rb"([A-Za-z0-9+/_-]{2,})=*")
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_DATE: Final = rb"[A-Za-z]{3,9}, ?\d\d[ -][A-Za-z]{3}[ -]\d{2,4} \d\d:\d\d:\d\d [A-Z]{3}"
_ATTRIBUTE: Final = re.compile(
    rb"(?i:secure|httponly|partitioned|expires="
    + _DATE
    + rb"|max-age=-?\d{1,10}|domain=[a-z0-9.-]{1,255}"
    rb"|path=/[!-+\--:<>-~]*|samesite=(?:strict|lax|none)|priority=(?:low|medium|high))"
)
_MAX_PROTOCOL_BYTES: Final = 64
"""The longest subprotocol name registered with IANA has 38 bytes."""


def redact_cookies(value: bytes) -> bytes:
    """Redact the value of a Cookie field: `a=x; b=y`."""
    return b"; ".join(map(_redact_pair, _pieces(value))) or MARK


def redact_set_cookie(value: bytes) -> bytes:
    """Redact the value of a Set-Cookie field: `a=x; Path=/; Secure`."""
    pair, *attributes = _pieces(value) or [b""]
    kept = [part if _ATTRIBUTE.fullmatch(part) else _redact_pair(part) for part in attributes]
    return b"; ".join([_redact_pair(pair), *kept])


def _pieces(value: bytes) -> list[bytes]:
    """Split at semicolons outside quotes; text after an unclosed quote is replaced as a whole."""
    pieces = []
    place = 0
    while place < len(value):
        found = _PIECE.match(value, place)
        if found is None:
            pieces.append(MARK)
            break

        place = found.end()
        if piece := found[0].removesuffix(b";").strip(b" \t"):
            pieces.append(piece)

    return pieces


def _redact_pair(pair: bytes) -> bytes:
    name, equals, _ = pair.partition(b"=")
    if equals and _NAME.fullmatch(name):
        return name + b"=" + MARK
    return MARK


def redact_subprotocols(value: bytes) -> bytes:
    """Redact the value of a Sec-WebSocket-Protocol field: `graphql-ws, mqtt`."""
    return b", ".join(_redact_offer(offer.strip(b" \t")) for offer in value.split(b","))


def _redact_offer(offer: bytes) -> bytes:
    if offer.endswith(MARK) or (len(offer) <= _MAX_PROTOCOL_BYTES and not is_random(offer)):
        return offer
    words = offer.split(b".")
    for index, word in enumerate(words):
        if len(word) > _MAX_PROTOCOL_BYTES or is_random(word):
            return b".".join((*words[:index], MARK))
    return MARK


def redact_binary(line: bytes, redact: Callable[[bytes], bytes]) -> bytes:
    """Redact a line of binary gRPC metadata: base64 of either alphabet, padded or not.

    A value is replaced if `redact` changes its decoded bytes.
    """
    name, colon, value = line.partition(b":")

    def look(found: re.Match[bytes]) -> bytes:
        run = found[1].translate(_STANDARD)
        data = a2b_base64(run[: len(run) - (len(run) % 4 == 1)] + b"==")
        if redact(data) == data:
            return found[0]
        return MARK

    return name + colon + _BASE64.sub(look, value)


PARTLY_SECRET: Final = {
    b"cookie": redact_cookies,
    b"setcookie": redact_set_cookie,
    b"secwebsocketprotocol": redact_subprotocols,
}
"""Normalised field name → function that redacts its value."""


def redact_secret_field(line: bytes, colon: int) -> bytes:
    """Redact a secret field; names and attributes of cookies and subprotocols stay."""
    name = line[:colon]
    redact = PARTLY_SECRET.get(normalise(name))
    return name + b": " + (MARK if redact is None else redact(line[colon + 1 :]))
