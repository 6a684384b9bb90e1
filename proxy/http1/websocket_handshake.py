"""Whether a service agrees to the WebSocket that was asked for. Pure.

A client of HTTP/1.1 looks for itself. One of HTTP/2 never sees the key or the answer to it: the
gateway must (RFC 8441 §5.1, RFC 6455 §4.1).
"""

import re
from base64 import b64encode
from hashlib import sha1
from typing import Final

_KEY: Final = re.compile(rb"\r\nsec-websocket-key:[ \t]*+([^\r\n]*)", re.IGNORECASE)
_ACCEPT: Final = re.compile(rb"\r\nsec-websocket-accept:[ \t]*+([^\r\n]*)", re.IGNORECASE)
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def agrees(request_head: bytes, response_head: bytes) -> bool:
    """Return whether a response has the one value that belongs to the key of its request."""
    key = _KEY.search(request_head)
    answers = _ACCEPT.findall(response_head)
    if key is None or len(answers) != 1:
        return False
    expected = b64encode(sha1(key[1].strip() + _GUID, usedforsecurity=False).digest())
    return bool(answers[0].strip() == expected)
