"""A client's address as few bytes: 4 or 16, as it is in a packet; any other text, which proxies may bring, as it is.

Invariant: `unpack(pack(text)) == text`, for text without NUL (storage/postgres/text.py).
"""

import socket
from functools import lru_cache
from typing import Final

_FAMILIES: Final = {4: socket.AF_INET, 16: socket.AF_INET6}
"""Length → address family."""
_MAX_REMEMBERED: Final = 10_000


@lru_cache(_MAX_REMEMBERED)
def pack(text: str) -> bytes:
    for family in _FAMILIES.values():
        try:
            packed = socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        if socket.inet_ntop(family, packed) == text:
            return packed
    # NUL, once or twice, so that it has the length of no address.
    marked = b"\0" + text.encode()
    return b"\0" + marked if len(marked) in _FAMILIES else marked


@lru_cache(_MAX_REMEMBERED)
def unpack(packed: bytes) -> str:
    """Read what `pack` wrote."""
    if len(packed) in _FAMILIES:
        return socket.inet_ntop(_FAMILIES[len(packed)], packed)
    return packed.lstrip(b"\0").decode()
