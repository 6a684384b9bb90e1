"""Whose an exchange is: what joins exchanges, such as ids that clients choose, joins those of one tenant only."""

from proxy.enrich.formats.hashes import hash_of
from storage.record import Record


def tenant_of(record: Record) -> bytes:
    """Return a hash of project, container, client and key."""
    named = (record.project, record.container, record.client, record.key_id)
    return hash_of(*(b"-" if name is None else b"+" + name.encode("utf-8", "replace") for name in named))
