"""The part of a model session's handshake that each of its messages carries: identity and names.

The record of the handshake comes last, so the worker packs this part once per connection and the
collector reads it with each message. Lines: upstream and target, separated by a space; a hex digest
of the credentials; then `name: value` of each field that may name a session. The credentials
themselves are not included.
"""

import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final, NamedTuple

MAX_TARGET_BYTES: Final = 2048
"""Longest target. With the rest, a session must fit its length of two bytes."""
_MAX_NAMING_BYTES: Final = 1024
"""Limit of the fields that name a session: every message carries them."""
_CREDENTIALS: Final = frozenset((b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"))
_NAMING: Final = re.compile(
    rb"[a-z0-9_-]{0,40}(?:session|conversation|thread|turn-metadata)[a-z0-9_-]{0,40}"
)
_DIGEST_BYTES: Final = 16

Field = tuple[bytes, bytes]
"""Lower-case name, value without surrounding blanks."""


class Handshake(NamedTuple):
    """A decoded handshake."""

    upstream: str
    target: str
    caller: bytes
    """Result of `caller_of`; empty without credentials."""
    naming: list[Field]
    """Fields that may name a session."""


def caller_of(fields: Iterable[Field]) -> bytes:
    """Return a hash of the credentials for the upstream; empty without any."""
    sent = sorted(value for name, value in fields if name in _CREDENTIALS)
    if sent:
        return blake2b(b"\0".join(sent), digest_size=_DIGEST_BYTES).digest()
    return b""


def pack_handshake(upstream: bytes, head: bytes) -> bytes:
    """Pack the part of a WebSocket handshake's request head that the records of its messages need."""
    line, *lines = head.split(b"\r\n")
    target = line.partition(b" ")[2].partition(b" ")[0]
    fields = [
        (name.strip().lower(), value.strip())
        for name, _, value in (each.partition(b":") for each in lines)
    ]
    packed = [upstream + b" " + target[:MAX_TARGET_BYTES], caller_of(fields).hex().encode()]
    left = _MAX_NAMING_BYTES

    for name, value in fields:
        left -= len(name) + len(value)
        if _NAMING.fullmatch(name) is None or left < 0:
            left += len(name) + len(value)
            continue
        packed.append(name + b": " + value)

    return b"\n".join(packed)


def read_handshake(packed: bytes) -> Handshake:
    """Read a packed handshake. Older workers wrote the first line only."""
    line, *rest = packed.split(b"\n")
    upstream, _, target = line.decode("utf-8", "replace").partition(" ")
    try:
        caller = bytes.fromhex(rest[0].decode()) if rest else b""
    except ValueError:
        caller = b""

    naming = [(name, value) for name, _, value in (each.partition(b": ") for each in rest[1:])]
    return Handshake(upstream, target, caller, naming)
