"""Cursors of a snapshot: a signed position, so that it cannot be moved, prolonged or reused.

Strategy: a snapshot is the newest `seq` at the time of the first page. A cursor carries it with the
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
"""Error of a cursor with an expired snapshot."""
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
    """Unix time at which the first page was made."""
    after_id: int
    """Entry id after which the next page begins."""


@dataclass(slots=True, kw_only=True)
class SnapshotCursors:
    """Signs and reads cursors."""

    secret: bytes
    """Secret of the store; empty until the store has been reached for the first time."""
    ttl_s: int = 900
    now_s: Callable[[], float] = time.time

    def encode(self, position: SnapshotPosition, binding: bytes) -> str:
        """Return a cursor that is valid for the filters of `binding` only."""
        payload = _PAYLOAD.pack(
            _VERSION, position.snapshot_seq, position.created_s, position.after_id
        )
        return to_text(payload + self._sign(payload, binding))

    def decode(self, text: str, binding: bytes) -> SnapshotPosition:
        """Decode a cursor.

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
