"""Hashes of several parts, without collisions between parts that concatenate to the same bytes."""

from hashlib import blake2b
from typing import Final

from storage.record import Record

HASH_BYTES: Final = 16


def hash_of(*parts: bytes) -> bytes:
    hashed = blake2b(digest_size=HASH_BYTES)
    for part in parts:
        hashed.update(len(part).to_bytes(4, "big"))
        hashed.update(part)
    return hashed.digest()


def tenant_of(record: Record) -> bytes:
    """Return a hash of a record's project, container, client and key."""
    named = (record.project, record.container, record.client, record.key_id)
    return hash_of(
        *(b"-" if name is None else b"+" + name.encode("utf-8", "replace") for name in named)
    )
