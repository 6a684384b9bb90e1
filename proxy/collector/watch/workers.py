"""The workers the supervisor reports, and whether this collector reads the ring of each.

A collector that knows only the rings it finds cannot know which ones it misses. The supervisor
knows which processes it started and which ring each of them pushes into, so an unread ring raises
an error within seconds, long before a user searches for a record that was never stored.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from proxy.collector.rings.sources import Source

log = logging.getLogger(__name__)

GRACE_S: Final = 1.0
"""How long a ready worker may wait for the collector to receive and map its ring."""


class WorkerShown(msgspec.Struct, frozen=True):
    """One worker process, in the supervisor's words."""

    name: str
    pid: int | None
    ready: bool
    ring: str
    """Its source as hex; empty until the worker has one."""
    leaving: bool = False
    """It serves its last clients; other workers accept new ones."""


class SupervisorCounts(msgspec.Struct, frozen=True):
    """What the supervisor counts."""

    log_lines_dropped: int = 0
    reloads: dict[str, int] = {}


class Workers:
    """Compares what the supervisor says with the rings that are attached."""

    def __init__(
        self, attached: Mapping[bytes, Source], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Before the first `update` no worker is known, and none is missing."""
        self._attached = attached
        self._clock = clock
        self._unread_since: dict[str, float] = {}
        self.on_unread: Callable[[int], object] = lambda unread: None
        """Called with the number of unread rings when it changes, and at every look while there are
        any.
        """
        self.shown: tuple[WorkerShown, ...] | None = None
        self.supervisor: SupervisorCounts | None = None
        """None: there is none, as with `workers = 0`, or it has said nothing yet."""
        self.unread: tuple[str, ...] = ()
        """Names of the workers whose ring the collector did not read at the last look."""

    def update(self, raw: bytes | str) -> None:
        """Take over what the supervisor says, as JSON."""
        self.shown = msgspec.json.decode(raw, type=tuple[WorkerShown, ...])

    def update_counts(self, raw: bytes | str) -> None:
        """Take over what the supervisor counts, as JSON."""
        self.supervisor = msgspec.json.decode(raw, type=SupervisorCounts)

    @property
    def accepting(self) -> int:
        """How many accept new connections."""
        return sum(worker.ready and not worker.leaving for worker in self.shown or ())

    @property
    def old(self) -> int:
        """How many of before a reload still serve their last clients."""
        return sum(worker.leaving for worker in self.shown or ())

    def look(self) -> None:
        """Judge now, and report what has changed."""
        now_s = self._clock()
        unread = {
            worker.name: worker
            for worker in self.shown or ()
            if worker.ready and not self._is_read(worker)
        }
        self._unread_since = {name: self._unread_since.get(name, now_s) for name in unread}
        before = self.unread
        self.unread = tuple(
            name for name, since_s in self._unread_since.items() if now_s - since_s >= GRACE_S
        )
        for name in set(self.unread) - set(before):
            log.error("the ring of %s is unread: its records are lost when it ends", name)
        for name in set(before) - set(self.unread):
            log.warning(
                "the ring of %s is no longer unread: it is read again, or the worker is gone", name
            )

        if self.unread or before:
            self.on_unread(len(self.unread))

    def _is_read(self, worker: WorkerShown) -> bool:
        try:
            source = self._attached.get(bytes.fromhex(worker.ring))
        except ValueError:
            return False
        return source is not None and not source.is_closing
