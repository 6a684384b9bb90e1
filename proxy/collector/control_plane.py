"""The parts of a collector, made and connected: drain, enrichment, writer, tail, retention.

Start order: settings, store (or what is known of one that is away, `arrival.py`), positions, rings, writer, drain,
admin port, `ready`. Stop order: the workers are gone
when `drain` arrives, so the rings are emptied, the writer settles what it has, the admin port closes, then the store.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from api.dialects.fanout import Fanout
from api.metrics.metrics import Metrics
from api.metrics.store_metrics import StoreFigures
from api.stream.tail import Tail
from proxy.collector.access_log import AccessLog, open_access_log
from proxy.collector.drain import Drain
from proxy.collector.key_publisher import KeyPublisher
from proxy.collector.retention import describe_retention, make_retention
from proxy.collector.sources import Source, Sources
from proxy.collector.startup import Beginning, begun, meet
from proxy.collector.status import StatusView
from proxy.collector.tail_offset import follow_tail
from proxy.enrich.attribution import KeyIndex
from proxy.enrich.records import RecordBuilder
from proxy.process import malloc
from proxy.process.data_dir import DataDir
from proxy.process.shared_memory import ring_directory
from proxy.process.version import VERSION
from proxy.process.wakeup import Wakeup
from proxy.ring.segment import remove_unfinished
from proxy.settings.model import Settings, StorageSettings
from storage.base import Storage
from storage.errors import StorageError
from storage.keys import ApiKey
from storage.ledger import Ledger, balance
from storage.record import Batch
from storage.writer.attempts import WriterEvents
from storage.writer.backlog import BacklogLimits
from storage.writer.retention import Retention
from storage.writer.spool import Spool
from storage.writer.writer import Writer

log = logging.getLogger(__name__)

CLOSE_S: Final = 10.0
"""Bounds each step of the stop: what is not stored by then stays in the rings for the next start."""
WORKERS_GONE_S: Final = 5.0
"""Beyond their drain timeout, before we stop without them."""
HIGH_BYTES: Final = 4 * 1024 * 1024
"""Held at once, they leave memory behind that is worth giving back."""


@dataclass(slots=True)
class ControlPlane:
    """The running parts of a collector."""

    storage: Storage
    writer: Writer
    drain: Drain
    sources: Sources
    status: StatusView
    metrics: Metrics
    tail: Tail
    retention: Retention
    keys: KeyPublisher
    builder: RecordBuilder
    fanout: Fanout | None
    access_log: AccessLog | None
    is_handing_over: bool = False
    """Whether another collector goes on with the rings where this one stops."""

    async def ledger(self) -> Ledger:
        """Read the accounting, positions and counters in one synchronous go, rings that were made just now included."""
        self.sources.find()
        counts = {s.id: s.producer_counts for s in self.sources.attached.values()}
        return balance(self.drain.committed, counts, self.writer.spooled_records)

    def held_bytes(self) -> int:
        """Tell what is held of records that wait; as long as the spool is not empty, it comes back through us."""
        return max(self.writer.held_bytes, HIGH_BYTES if self.writer.spooled_records else 0)

    async def on_key_changed(self, change: str, key: ApiKey) -> None:
        """Tell workers and the log of a key that was created, updated or deleted through the API."""
        await self.keys.refresh()
        data = {"change": change, "keyId": key.id, "keyName": key.name, "keyLast4": key.last4}
        self.drain.add_event("key_changed", {**data, "disabled": key.disabled})

    def is_ready(self) -> tuple[bool, dict[str, object]]:
        """Ready while not draining; a store that is away only degrades, the rings hold what comes."""
        degraded = not self.writer.is_storage_up
        members: dict[str, object] = {"draining": self.status.is_draining, "degraded": degraded}
        if degraded:
            members["away"] = ["store"]
        return not self.status.is_draining, members


@asynccontextmanager
async def control_plane(
    settings: Settings,
    data: DataDir,
    wakeup: Wakeup,
    follow: Callable[[Sources, StatusView], None] = lambda sources, status: None,
) -> AsyncIterator[ControlPlane]:
    """Start writer and drain, with the store or before it; on leaving, empty the rings, settle, and close in order.

    Args:
        settings: as frozen.
        data: the owned data directory.
        wakeup: its reading end is ours.
        follow: attaches the anonymous rings there are, before those that are gone are accounted for.

    Raises:
        SchemaTooNew: a newer sidelog wrote the store. In an exception group, like the next.
        StorageMisconfigured: the address of the store can never work.
    """
    async with begun(settings, data) as beginning, asyncio.TaskGroup() as tasks:
        plane = _wire(settings, data, beginning)
        if plane.sources.directory is not None:
            remove_unfinished(plane.sources.directory)
        await plane.keys.refresh()
        follow(plane.sources, plane.status)
        plane.sources.find()
        meeting = _meet(settings, data, beginning, plane, tasks)
        writing = tasks.create_task(plane.writer.run(), name="writer")
        draining = tasks.create_task(plane.drain.run(wakeup), name="drain")
        retaining = tasks.create_task(plane.retention.run(), name="retention")
        publishing = tasks.create_task(plane.keys.run(), name="keys")
        keeping = tasks.create_task(malloc.keep_little(plane.held_bytes, HIGH_BYTES), name="memory")
        try:
            yield plane
        finally:
            retaining.cancel()
            if plane.is_handing_over:
                draining.cancel()
                await asyncio.wait((draining,))
            await _settle(plane.drain, draining, plane.writer, writing)
            if plane.access_log is not None:
                await asyncio.to_thread(plane.access_log.close)
            meeting.cancel()
            publishing.cancel()
            keeping.cancel()
            await plane.keys.flush_uses()
            plane.sources.close()
            if beginning.spool is not None:
                beginning.spool.close()


def _meet(
    settings: Settings, data: DataDir, beginning: Beginning, plane: ControlPlane, tasks: asyncio.TaskGroup
) -> asyncio.Task[None]:
    """Account for what was before this start, now or when the store has come; then keep the tail until cancelled."""
    spool = beginning.spool
    if beginning.period:
        plane.drain.wait_for_store(is_holding=spool is None)
    else:
        plane.drain.account_for_lost_rings(() if spool is None else spool.positions)

    async def keep() -> None:
        if beginning.period:
            await meet(settings, data, beginning, plane.writer, plane.drain)
            plane.builder.await_answers(beginning.waiting)
            await plane.keys.refresh()
        await follow_tail(settings, plane.tail, plane.storage, data)

    return tasks.create_task(keep(), name="tail")


def _wire(settings: Settings, data: DataDir, beginning: Beginning) -> ControlPlane:
    """Make the parts and connect them; nothing runs yet."""
    storage, tail, spool, effective = beginning.storage, beginning.tail, beginning.spool, beginning.effective
    metrics = Metrics(lambda: status.worker_totals(), tail, version=VERSION)

    def on_commit(batch: Batch, last_seq: int) -> None:
        drain.on_commit(batch, last_seq)
        tail.on_commit(batch, last_seq)

    writer = Writer(
        storage,
        instance=data.instance,
        quarantine_directory=data.path / "quarantine",
        limits=_limits(settings.storage),
        events=WriterEvents(
            on_commit=on_commit,
            on_spooled=lambda batch: drain.on_spooled(batch),
            on_attempt=metrics.observe_batch,
            on_dropped=lambda reason, records: drain.own.add_gap(reason, records),
        ),
        spool=spool,
        committed=beginning.committed,
        period=beginning.period,
    )
    directory = ring_directory(settings.ring.directory, data.path, 0)

    def on_found(source: Source) -> None:
        drain.on_found(source)
        keys.announce(source)

    sources = Sources(directory, on_found, effective)
    book = KeyIndex()
    keys = KeyPublisher(storage, data.path, sources.attached, book)
    builder = RecordBuilder(data.instance, settings, book)
    builder.await_answers(beginning.waiting)
    access_log = open_access_log(settings.log.access)
    observe = metrics.observe if access_log is None else access_log.beside(metrics.observe)
    drain = Drain(sources, builder, writer, storage, effective, observe)
    if access_log is not None:
        drain.own.observe = access_log.observe
        metrics.watch_access_log(access_log)
    status = StatusView(settings, data.instance, sources, writer, builder)
    status.store_reason = lambda: "" if beginning.late.is_admitted else beginning.late.reason
    retention = make_retention(settings, storage, drain)
    status.retention = lambda: describe_retention(retention)
    metrics.watch_store(lambda: _store_figures(writer, retention, spool))
    return ControlPlane(
        storage, writer, drain, sources, status, metrics, tail, retention, keys, builder, beginning.fanout, access_log
    )


def _limits(settings: StorageSettings) -> BacklogLimits:
    return BacklogLimits(
        max_records=settings.batch_max_records,
        max_bytes=settings.batch_max_bytes,
        max_age_s=settings.batch_max_age_ms / 1000,
        queue_max_bytes=settings.queue_max_bytes,
    )


def _store_figures(writer: Writer, retention: Retention, spool: Spool | None) -> StoreFigures:
    """Read the state of the way to the store, for the metrics."""
    return StoreFigures(
        is_up=writer.is_storage_up,
        oldest_unstored_s=writer.oldest_unstored_s,
        spool_bytes=0 if spool is None else spool.size_bytes,
        spool_errors=0 if spool is None else spool.errors,
        retention_lag_s=retention.lag_s,
        records_purged=retention.rows_purged,
    )


async def _settle(drain: Drain, draining: asyncio.Task[None], writer: Writer, writing: asyncio.Task[None]) -> None:
    """Empty the rings unless draining has ended, and store what they held; bounded, the rings keep what is left."""
    if not draining.done():
        drain.stop()
        try:
            async with asyncio.timeout(CLOSE_S):
                await asyncio.shield(draining)
        except TimeoutError:
            draining.cancel()
    unsettled = await writer.close(CLOSE_S)
    writing.cancel()
    if unsettled:
        log.warning(
            "the store did not take everything in time; the rest stays in the rings", extra={"records": unsettled}
        )


def log_each(group: BaseExceptionGroup[StorageError]) -> None:
    """Say what ended us, one line each."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            log_each(error)
        else:
            log.error("%s", error)
