"""Hashes of several parts, which no other parts that read the same side by side have."""

from hashlib import blake2b
from typing import Final

HASH_BYTES: Final = 16


def hash_of(*parts: bytes) -> bytes:
    hashed = blake2b(digest_size=HASH_BYTES)
    for part in parts:
        hashed.update(len(part).to_bytes(4, "big"))
        hashed.update(part)
    return hashed.digest()
