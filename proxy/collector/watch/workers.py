"""The workers that the supervisor reports, and whether this collector reads the ring of each.

A collector that knows only the rings it finds cannot know which ones it misses. The supervisor
knows which processes it started and which ring each of them pushes into, so an unread ring is
logged as an error within seconds, long before a user searches for a record that was never stored.
"""

import itertools
import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from proxy.collector.rings.sources import Source

log = logging.getLogger(__name__)

GRACE_S: Final = 1.0
"""Time that a ready worker may wait until the collector has received and mapped its ring."""


class WorkerShown(msgspec.Struct, frozen=True):
    """One worker process, as the supervisor reports it."""

    name: str
    pid: int | None
    ready: bool
    ring: str
    """Source of its ring as hex; empty before it has a ring."""
    leaving: bool = False
    """Whether it only serves its last clients, for example after a reload."""
    silent: bool = False
    """Whether it runs but does not answer the supervisor."""


class SupervisorCounts(msgspec.Struct, frozen=True):
    """Counters of the supervisor."""

    log_lines_dropped: int = 0
    reloads: dict[str, int] = {}


class Workers:
    """Compares the workers that the supervisor reports with the rings that are attached."""

    def __init__(
        self, attached: Mapping[bytes, Source], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._attached = attached
        self._clock = clock
        self._unread_since: dict[str, float] = {}
        self.on_unread: Callable[[int], object] = lambda unread: None
        """Called with the number of unread rings at every look that finds some, and at the first
        look that finds none again.
        """
        self.shown: tuple[WorkerShown, ...] | None = None
        """None before the first report."""
        self.supervisor: SupervisorCounts | None = None
        """None before the first report, and without a supervisor (`workers = 0`)."""
        self.unread: tuple[str, ...] = ()
        """Names of the workers whose ring was unread at the last look."""

    def update(self, raw: bytes | str) -> None:
        """Store the supervisor's report of its workers, given as JSON."""
        self.shown = msgspec.json.decode(raw, type=tuple[WorkerShown, ...])

    def update_counts(self, raw: bytes | str) -> None:
        """Store the supervisor's counts, given as JSON."""
        self.supervisor = msgspec.json.decode(raw, type=SupervisorCounts)

    @property
    def accepting(self) -> int:
        """Return the number of workers that accept new connections."""
        return sum(
            worker.ready and not worker.leaving and not worker.silent for worker in self.shown or ()
        )

    @property
    def silent(self) -> list[str]:
        """Return the names of the workers that do not answer; some new connections wait for them."""
        return [worker.name for worker in self.shown or () if worker.silent and not worker.leaving]

    @property
    def leaving(self) -> int:
        """Return the number of workers that only serve their last clients."""
        return sum(worker.leaving for worker in self.shown or ())

    def process_ids(self) -> dict[str, int]:
        """Return the ids of all processes of this sidecar, by name; without a supervisor there is
        one.
        """
        own = os.getpid()
        shown = self.shown or ()
        if not shown or any(worker.pid == own for worker in shown):
            return {"sidelog": own}

        found = {"supervisor": os.getppid(), "collector": own}
        for worker in shown:
            if worker.pid is not None:
                if worker.leaving:
                    name = f"{worker.name} leaving"
                else:
                    name = worker.name
                found[_unused(name, found)] = worker.pid
        return found

    def look(self) -> None:
        """Find workers whose rings are not read; log the new ones, and those that are read again."""
        now_s = self._clock()
        unread = [
            worker.name for worker in self.shown or () if worker.ready and not self._is_read(worker)
        ]
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


def _unused(name: str, found: dict[str, int]) -> str:
    """Return a name that is unused, with a number if necessary: several workers of one name may
    leave.
    """
    numbers = itertools.count(2)
    unused = name
    while unused in found:
        unused = f"{name} {next(numbers)}"
    return unused
