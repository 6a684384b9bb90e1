"""The lease on the name of an instance: two sidecars of one name at one store would share their positions."""

import time
from collections.abc import Awaitable, Callable
from typing import ClassVar

from storage.errors import StorageUnavailable


class NameLease:
    """One name, held or not: when to renew it, and when another may have it. How it is taken is the backend's."""

    renew_s: ClassVar[float]
    expires_s: ClassVar[float]
    """A holder that was not heard of for so long has lost its name."""

    def __init__(self, instance: str, holder: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Make one that does not hold its name yet.

        Args:
            instance: The name.
            holder: Identifies this sidecar among those of the name, kept over restarts.
            clock: Seconds.
        """
        self._instance = instance
        self._holder = holder
        self._clock = clock
        self._renewed_at_s: float | None = None
        self.is_lost = False
        """Whether another holds the name."""

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
        """Whether this sidecar was stopped, or the database away, for so long that another may have the name."""
        return self._is_older(self.expires_s)

    def _is_older(self, seconds: float) -> bool:
        return self._renewed_at_s is None or self._clock() - self._renewed_at_s >= seconds

    async def confirm(self, renew: Callable[[], Awaitable[object]]) -> None:
        """Make sure that the name is held, before something is committed under it.

        Raises:
            StorageUnavailable: Another holds it.
        """
        if self.may_be_lost:
            await renew()
        if self.is_lost:
            raise StorageUnavailable(self.reason)
