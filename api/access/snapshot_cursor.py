"""Cursors of a snapshot: the reader's position in it, signed, so that a cursor cannot be moved,
prolonged or reused.

Strategy: a snapshot is the newest `seq` when the first page was made; a cursor carries it with the
position and the time, and is signed with a hash of the filters. It expires after a time, or once
retention has removed the next page.

The signature is HMAC-SHA256 (RFC 2104) over a fixed-length message; the secret is the store's, so
sidecars share it.
"""

import hmac
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from api.http.cursor import from_text, to_text
from api.http.errors import BadParameter, Refused
from storage.errors import StorageUnavailable

EXPIRED: Final = "snapshot_expired"
"""The error of a cursor whose snapshot is gone."""
_PAYLOAD: Final = struct.Struct(">BQQQ")
_VERSION: Final = 1


class SnapshotExpired(Refused):
    """The snapshot of a cursor is over: too old, or overtaken by retention."""

    def __init__(self) -> None:
        super().__init__(
            410, "the snapshot of this cursor has expired, begin again without it", error=EXPIRED
        )


@dataclass(frozen=True, slots=True)
class SnapshotPosition:
    """A reader's position in a snapshot."""

    snapshot_seq: int
    created_s: int
    """When the first page was made, Unix time."""
    after_id: int
    """Entry id, exclusive."""


@dataclass(slots=True, kw_only=True)
class SnapshotCursors:
    """Signs and reads cursors."""

    secret: bytes
    """The store's; empty until it has been reached for the first time."""
    ttl_s: int = 900
    now_s: Callable[[], float] = time.time

    def encode(self, position: SnapshotPosition, binding: bytes) -> str:
        """Write a cursor that is good for the filters of `binding` only."""
        payload = _PAYLOAD.pack(
            _VERSION, position.snapshot_seq, position.created_s, position.after_id
        )
        return to_text(payload + self._sign(payload, binding))

    def decode(self, text: str, binding: bytes) -> SnapshotPosition:
        """Read a cursor back.

        Raises:
            BadParameter: it was not made here for these filters.
            SnapshotExpired: it is too old.
        """
        raw = from_text(text)
        payload = raw[: _PAYLOAD.size]
        signature = raw[_PAYLOAD.size :]
        if not hmac.compare_digest(signature, self._sign(payload, binding)):
            raise BadParameter("cursor", text, "the nextCursor of an answer to the same filters")

        _, snapshot_seq, created_s, after_id = _PAYLOAD.unpack(payload)
        position = SnapshotPosition(snapshot_seq, created_s, after_id)
        self.check_age(position)
        return position

    def check_age(self, position: SnapshotPosition) -> None:
        if self.now_s() - position.created_s > self.ttl_s:
            raise SnapshotExpired

    def _sign(self, payload: bytes, binding: bytes) -> bytes:
        if not self.secret:
            raise StorageUnavailable(
                "cursors are signed with the store's secret, and the store has not been reached yet"
            )
        return hmac.digest(self.secret, payload + binding, "sha256")
