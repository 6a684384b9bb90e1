"""The lease on the name of an instance, since two sidecars of one name on one database would share
their positions.

Strategy: a row names the holder, and the holder renews it every few seconds, by the server's clock.
Holders are identified by their data directories, so that a sidecar resumes at once after a kill,
while a different one waits until the row has expired. Two machines that share a data directory are
one holder with two sessions: they take the name from each other, and both log it.

Invariant: nothing is committed under a name that another holder has.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import uuid4

from storage.errors import StorageUnavailable
from storage.postgres.connection import Connection

log = logging.getLogger(__name__)

_LOGGED_TAKEOVERS: Final = 3
"""A collector hands the name over to its successor once; this many takeovers mean two sidecars on
one data directory.
"""
_TAKE: Final = (
    "INSERT INTO sidelog.leases AS known (instance, holder, session, renewed_at) "
    "VALUES ($1, $2, $3, clock_timestamp()) ON CONFLICT (instance) DO UPDATE SET "
    "holder = excluded.holder, session = excluded.session, renewed_at = excluded.renewed_at "
    "WHERE known.holder = excluded.holder "
    "OR known.renewed_at < clock_timestamp() - $4 * interval '1 second' "
    "RETURNING (SELECT session FROM sidelog.leases WHERE instance = $1)"
)
_RELEASE: Final = "DELETE FROM sidelog.leases WHERE instance = $1 AND session = $2"


class Lease:
    """The lease on one name, held or not."""

    renew_s: Final = 5.0
    expires_s: Final = 20.0
    """A holder that has not renewed for this long has lost its name."""

    def __init__(
        self, instance: str, holder: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Make a lease that is not held yet.

        Args:
            instance: The name.
            holder: Identifies this sidecar among those of the name, kept over restarts.
            clock: Monotonic seconds.
        """
        self._instance = instance
        self._holder = holder
        self._clock = clock
        self._session = uuid4().hex
        self._takeovers = 0
        self._renewed_at_s: float | None = None
        self.is_lost = False
        """True if another sidecar holds the name."""

    @property
    def reason(self) -> str:
        return (
            f"another sidelog writes to this database as instance {self._instance!r}; "
            "give each its own name in the setting instance"
        )

    @property
    def is_due(self) -> bool:
        return self._is_older(self.renew_s)

    @property
    def may_be_lost(self) -> bool:
        """True if this sidecar was stopped, or the database away, for so long that the lease may
        have expired.
        """
        return self._is_older(self.expires_s)

    def _is_older(self, seconds: float) -> bool:
        return self._renewed_at_s is None or self._clock() - self._renewed_at_s >= seconds

    async def confirm(self, renew: Callable[[], Awaitable[object]]) -> None:
        """Make sure that the name is held, before a commit under it.

        Raises:
            StorageUnavailable: Another sidecar holds it.
        """
        if self.may_be_lost:
            await renew()
        if self.is_lost:
            raise StorageUnavailable(self.reason)

    async def take(self, connection: Connection) -> bool:
        """Take the name, or renew the lease; False if the row is gone: the database was then
        emptied.

        Raises:
            StorageUnavailable: Another sidecar holds it.
        """
        now_s = self._clock()
        was_held = not self.may_be_lost and not self.is_lost
        row = await connection.fetchrow(
            _TAKE, self._instance, self._holder, self._session, self.expires_s
        )
        self.is_lost = row is None
        if row is None:
            raise StorageUnavailable(self.reason)

        is_renewal = self._renewed_at_s is not None
        self._renewed_at_s = now_s
        if is_renewal and row[0] != self._session:
            self._takeovers += 1
            if self._takeovers == _LOGGED_TAKEOVERS:
                log.error("%s, or another machine uses this data directory", self.reason)

        return not was_held or row[0] is not None

    async def release(self, connection: Connection) -> None:
        """Give up the lease on the name of this sidecar, unless another sidecar has taken it."""
        if not self.is_lost:
            await connection.execute(_RELEASE, self._instance, self._session)
