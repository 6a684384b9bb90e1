"""Ids of JSON-RPC as they are stored: a client may take anything for one, and a secret must not be
kept.
"""

import secrets
from hashlib import blake2b
from typing import Final

from proxy.enrich.redact.redactor import Redactor

_LEAST_CHARACTERS: Final = 16
"""No secret is shorter that is known by its looks."""
_DIGEST_BYTES: Final = 8


class ShownIds:
    """Writes ids for one process: of a secret the mark, and a number by which a response finds its
    request.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._salt = secrets.token_bytes(16)
        """Without it the number would follow from the secret, and a guess could be verified."""

    def shown(self, rpc_id: str) -> str:
        if len(rpc_id) < _LEAST_CHARACTERS:
            return rpc_id
        redacted = self._redactor.redact_text(rpc_id)
        if redacted == rpc_id:
            return rpc_id

        digest = blake2b(
            rpc_id.encode("utf-8", "replace"), key=self._salt, digest_size=_DIGEST_BYTES
        )
        return f'"[REDACTED] {digest.hexdigest()}"'
