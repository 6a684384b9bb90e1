"""Whose an exchange is: what joins exchanges, such as ids that clients choose, joins those of one tenant only."""

from hashlib import blake2b
from typing import Final

from storage.record import Record

TENANT_BYTES: Final = 16


def tenant_of(record: Record) -> bytes:
    """Return a hash of project, container, client and key."""
    hashed = blake2b(digest_size=TENANT_BYTES)
    for name in (record.project, record.container, record.client, record.key_id):
        part = b"-" if name is None else b"+" + name.encode("utf-8", "replace")
        hashed.update(len(part).to_bytes(4, "big") + part)
    return hashed.digest()
