"""The memory that rings may take together: that of one generation, and as much again.

A ring is allocated whole when it is made; when its worker is gone, the collector frees the drained
part. Strategy: new rings are made only if all existing ones, of this run and earlier ones, take no
more memory than one generation and the writer's queue, which stays in them while the store is
unavailable. So a burst of reloads takes at most one generation more. Old workers that serve streams
to their end have freed nearly all of their rings (`ring/lean_room.py`); the rest is not counted. A
start does not wait: next to rings of other runs its workers begin with lean ones. If neither store
nor spool accepts the old records, waiting is pointless, and the reload is given up after a while.

Standard library only.
"""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Final, Literal

from proxy.process.ring_home import unread_in
from proxy.process.shared_memory import RING_OVERHEAD_BYTES, allocated_bytes
from proxy.supervisor.children import Shared

log = logging.getLogger("proxy.supervisor")

PATIENCE_S: Final = 20.0
"""Longest wait without a ring that frees memory. A collector has started and tried its store by
then.
"""
LOOK_S: Final = 0.2
"""Time between two checks."""
LEAN_RING_BYTES: Final = RING_OVERHEAD_BYTES + (1 << 20)
"""Memory of the drained ring of an old worker."""


class RingRoom:
    """Decides if new rings may be made; one wait at a time."""

    def __init__(
        self, held: Callable[[], Iterable[int]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Use `held` to get descriptors of this run's rings, including those without a name."""
        self._held = held
        self._clock = clock
        self.is_waiting = False
        self._least_bytes = 0
        self._until_s = 0.0

    def is_free(self, shared: Shared) -> bool:
        """Return True if the rings of a generation may be allocated whole. A start does not wait
        for it.
        """
        taken_bytes, room_bytes = self._measure(shared, 0)
        return taken_bytes <= room_bytes

    def _measure(self, shared: Shared, old_workers: int) -> tuple[int, int]:
        """Return the memory of all rings, and the limit up to which more may be made, both in
        bytes.
        """
        room_bytes = shared.rings_bytes + int(shared.settings["storage"]["queue_max_bytes"])
        return allocated_bytes(
            shared.rings.path, self._held()
        ), room_bytes + old_workers * LEAN_RING_BYTES

    def look(
        self, shared: Shared, who: str, patience_s: float = PATIENCE_S, old_workers: int = 0
    ) -> Literal["free", "taken", "hopeless"]:
        """Decide if the rings of another generation may be made now.

        Args:
            shared: settings and ring directory of the new generation.
            who: begins the log line about the wait, such as "a reload waits".
            patience_s: longest wait without a ring that frees memory.
            old_workers: number of workers that still serve and keep a lean ring each.

        Returns:
            `free`, `taken` (ask again later), or `hopeless` once the patience has ended.
        """
        taken_bytes, room_bytes = self._measure(shared, old_workers)
        taken = {"bytes": taken_bytes, "of_bytes": room_bytes}
        now_s = self._clock()
        was_waiting = self.is_waiting
        self.is_waiting = taken_bytes > room_bytes
        if not self.is_waiting:
            return "free"

        if not was_waiting:
            log.warning("%s until old rings are drained", who, extra=taken)
        if not was_waiting or taken_bytes < self._least_bytes:
            self._least_bytes = taken_bytes
            self._until_s = now_s + patience_s
        if now_s < self._until_s:
            return "taken"

        self.is_waiting = False
        log.error(
            "%s no longer: old rings do not drain, neither store nor spool accepts more",
            who,
            extra=taken,
        )
        return "hopeless"

    def has_unread(self) -> bool:
        """Return True if one of our rings was not emptied at the end; log the number of records in
        them.
        """
        left = [records for records in map(unread_in, self._held()) if records != 0]
        if left:
            count = sum(records or 0 for records in left)
            log.error(
                "unread rings remain, with at least %d records in them",
                count,
                extra={"rings": len(left)},
            )

        return bool(left)
