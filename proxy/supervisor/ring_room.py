"""How much memory rings may take together: those of one generation, and as much again. Standard
library only.

A ring is allocated whole when it is made; when its worker is gone, the collector gives back what it
has drained. Strategy: new rings are made only when all that there are, of this run and of those
before, take no more than one generation's and the writer's queue, which a store that is away leaves
in them. So a burst of reloads takes at most one generation more. Old workers that serve streams to
their end have given back nearly all of theirs (`ring/lean_room.py`); what is left of it is not
counted. A start does not wait: beside rings that others left its workers begin with lean ones.
Where waiting leads to nothing, because neither store nor spool takes what the old ones hold, the
patience of a reload ends.
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
"""How long a wait may last in which no ring gives memory back: a collector has started and tried
its store by then.
"""
LOOK_S: Final = 0.2
"""Between two looks."""
LEAN_RING_BYTES: Final = RING_OVERHEAD_BYTES + (1 << 20)
"""Memory of the ring of an old worker, once it is drained."""


class RingRoom:
    """Decides whether new rings may be made; one wait at a time."""

    def __init__(
        self, held: Callable[[], Iterable[int]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`held` returns descriptors of the rings of this run; some of them have no name."""
        self._held = held
        self._clock = clock
        self.is_waiting = False
        self._least_bytes = 0
        self._until_s = 0.0

    def is_free(self, shared: Shared) -> bool:
        """Whether rings of a generation may be made whole beside those that there are: a start does
        not wait for it.
        """
        taken_bytes, room_bytes = self._measure(shared, 0)
        return taken_bytes <= room_bytes

    def _measure(self, shared: Shared, old_workers: int) -> tuple[int, int]:
        """Return what all rings take, and up to what more of them may be made."""
        room_bytes = shared.rings_bytes + int(shared.settings["storage"]["queue_max_bytes"])
        return allocated_bytes(
            shared.rings.path, self._held()
        ), room_bytes + old_workers * LEAN_RING_BYTES

    def look(
        self, shared: Shared, who: str, patience_s: float = PATIENCE_S, old_workers: int = 0
    ) -> Literal["free", "taken", "hopeless"]:
        """Say whether rings of another generation may be made now; `who` waits for it, in the log's
        words.

        So many old workers still serve, and keep what a lean ring takes.
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
        """Whether a ring of ours was not emptied at the end; logs how many records are lost or left
        behind.
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
