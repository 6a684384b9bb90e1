"""JSON-RPC ids as they are stored. A client may use a secret as an id, and secrets must not be
kept.
"""

import secrets
from hashlib import blake2b
from typing import Final

from proxy.enrich.redact.redactor import Redactor

_LEAST_CHARACTERS: Final = 16
"""Length of the shortest secret that is recognised by its form."""
_DIGEST_BYTES: Final = 8


class ShownIds:
    """Redacts ids for one process.

    A redacted id keeps a salted hash, so that a response still finds its request.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._salt = secrets.token_bytes(16)
        """Keeps a guessed secret from being verified by its hash."""

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
