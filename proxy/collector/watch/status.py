"""The state of the running parts: the answer of `/api/status`.

Everything is read from shared memory and counters on request, except the replicas of a store: these
are asked for every ten seconds.
"""

import asyncio
import os
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import msgspec

from api.health import ReplicaShown, WriterShown
from api.http.responses import filled
from proxy.collector.key_publisher import KeyPublisher
from proxy.collector.rings.sources import Source, Sources
from proxy.collector.watch.workers import Workers, WorkerShown
from proxy.otel.export import Export
from proxy.process.version import BUILD, VERSION
from proxy.ring.segment_layout import HELD_SINCE_US, PRODUCER_PID
from proxy.settings.model import Settings, redacted
from storage.base import Storage
from storage.errors import StorageError
from storage.query import Replica
from storage.writer.deferred import DeferredStorage
from storage.writer.retention import Retention
from storage.writer.size_cap import SizeCap
from storage.writer.text_indexing import TextIndexing
from storage.writer.writer import Writer

LOOK_EVERY_S: Final = 10.0


class ReplicaWatch:
    """Asks the store for its replicas every ten seconds."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.seen: Sequence[Replica] = ()
        """As of the last look. Empty before the store is open, and where it is on one server."""

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Ask once. Other parts report a store that is away."""
        with suppress(StorageError):
            self.seen = await self._storage.replicas()

    def describe(self) -> list[ReplicaShown]:
        return [
            filled(ReplicaShown, each, reason=each.reason or None, read_only=each.is_read_only)
            for each in self.seen
        ]


@dataclass(slots=True, kw_only=True)
class StatusView:
    """Shows the state of a collector's parts."""

    settings: Settings
    instance: str
    sources: Sources
    writer: Writer
    deferred: DeferredStorage
    retention: Retention
    size_cap: SizeCap
    text_indexing: TextIndexing
    replicas: ReplicaWatch
    workers: Workers
    keys: KeyPublisher
    export: Export
    is_draining: bool = False
    _started_s: float = field(default_factory=time.monotonic, init=False)

    def start_draining(self) -> None:
        self.is_draining = True

    def describe(self) -> dict[str, object]:
        writer = self.writer
        deferred = self.deferred
        uptime_s = round(time.monotonic() - self._started_s, 1)
        if deferred.state == "open":
            reason = ""
        else:
            reason = deferred.reason
        return {
            "version": VERSION,
            "build": BUILD,
            "instance": self.instance,
            "uptime_s": uptime_s,
            "draining": self.is_draining,
            "workers": [
                _describe_worker(worker, self.workers.unread) for worker in self.workers.shown or ()
            ],
            "rings": [_describe_ring(source) for source in self.sources.attached.values()],
            "writer": filled(WriterShown, writer, writer.counters),
            "collector": {"pid": os.getpid(), "uptime_s": uptime_s},
            "storage": {
                "up": writer.is_storage_up,
                "reason": reason or writer.availability.reason or None,
                "warning": deferred.warning or None,
                "replicas": self.replicas.describe(),
            },
            "keys": {"reason": self.keys.reason or None},
            "retention": describe_retention(self.retention, self.size_cap),
            "text_index": self.text_indexing.describe(),
            "otel": self.export.describe(),
            "configuration": redacted(self.settings),
        }


def describe_retention(retention: Retention, size_cap: SizeCap) -> dict[str, object]:
    """Return the state of retention. Times are Unix ms, None before the first look.

    Retention and the cap on size look at the store in turn: size and time are those of the later
    look.
    """
    state = retention.state
    oldest_us = state.oldest_us if state else None
    if state:
        reaches_back_us = state.reaches_back_us
    else:
        reaches_back_us = None
    used_bytes = state.used_bytes if state else None
    looked_at_us = retention.looked_at_us
    if size_cap.looked_at_us > (looked_at_us or 0):
        looked_at_us = size_cap.looked_at_us
        used_bytes = size_cap.used_bytes
    return {
        "looked_at_ms": _ms(looked_at_us),
        "reaches_back_ms": _ms(size_cap.reaches_back_us or reaches_back_us),
        "oldest_ms": _ms(oldest_us),
        "used_bytes": used_bytes,
        "lag_s": retention.lag_s,
        "erasing_records": retention.erasing,
        "rows_purged": retention.rows_purged,
        "rows_trimmed": size_cap.total.rows,
        "bodies_trimmed": size_cap.total.bodies,
    }


def _ms(us: int | None) -> int | None:
    if us is None:
        return None
    return us // 1000


def _describe_worker(worker: WorkerShown, unread: Collection[str]) -> dict[str, object]:
    return {**msgspec.structs.asdict(worker), "read": worker.name not in unread}


def _describe_ring(source: Source) -> dict[str, object]:
    reader = source.reader
    counts = source.producer_counts
    counters = source.counters()
    is_alive = source.segment.producer_alive()
    held_since_us = source.segment.cells[HELD_SINCE_US]
    uptime_s = None
    if is_alive and held_since_us:
        uptime_s = round(max(0.0, time.time() - held_since_us / 1e6), 1)

    return {
        "source": source.id.hex(),
        "worker_alive": is_alive,
        "pid": source.segment.cells[PRODUCER_PID] or None,
        "uptime_s": uptime_s,
        "requests": None if counters is None else sum(counters.requests.values()),
        "in_flight": None if counters is None or not is_alive else counters.requests_in_flight,
        "capacity_bytes": source.segment.capacity,
        "used_bytes": reader.used_bytes,
        "pushed": counts.pushed,
        "taken": source.position.taken,
        "refused": counts.refused,
        "recording_waits": None if counters is None else counters.recording_waits,
        "recording_wait_ms": None if counters is None else counters.recording_wait_us // 1000,
        "recording_standstills": None if counters is None else counters.recording_standstills,
        "corrupt": reader.corrupt_records,
    }
