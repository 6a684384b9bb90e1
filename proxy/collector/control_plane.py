"""The parts of a collector, built bottom up: rings, writer, drain, tail, retention.

Start order: settings, store (or what is known of one that is away, `startup.py`), positions, rings,
writer, drain, admin port, `ready`. Stop order: the workers are gone when `drain` arrives, so the
rings are emptied, the writer settles what it has, the admin port closes, then the store.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from prometheus_client.metrics_core import Metric

from api.access.snapshot_cursor import SnapshotCursors
from api.metrics.metrics import Metrics, eviction_families
from api.metrics.process_usage import usage_families
from api.stream.tail import Tail
from proxy.collector.access_log import AccessLog, open_access_log
from proxy.collector.committed import CommittedPositions
from proxy.collector.internal_events import InternalEvents
from proxy.collector.key_publisher import KeyPublisher
from proxy.collector.learned_endpoints import LearnedEndpoints
from proxy.collector.rings.drain import Drain
from proxy.collector.rings.sources import Sources, given_file
from proxy.collector.startup import StartState, reconcile, started
from proxy.collector.tail_offset import keep_tail
from proxy.collector.watch import families
from proxy.collector.watch.alerts.alerting import Alerting, make_alerting
from proxy.collector.watch.certificates import certificates_of
from proxy.collector.watch.readiness import Readiness
from proxy.collector.watch.running import Running
from proxy.collector.watch.status import ReplicaWatch, StatusView
from proxy.collector.watch.unlisted_proxies import UnlistedProxies
from proxy.collector.watch.watched_paths import DATA_DIR, RING_DIR, WatchedPaths
from proxy.collector.watch.workers import Workers
from proxy.enrich.attribution import KeyIndex
from proxy.enrich.records import RecordBuilder
from proxy.otel.export import Export
from proxy.otel.exporter import Progress
from proxy.process.data_dir import DataDir
from proxy.process.memory import garbage, malloc
from proxy.process.version import BUILD, VERSION
from proxy.process.wakeup import Wakeup
from proxy.ring.segment import remove_unfinished
from proxy.settings.model import Settings
from storage.backends import is_shared
from storage.base import Storage
from storage.errors import StorageError
from storage.keys import ApiKey
from storage.ledger import Ledger, balance
from storage.writer.attempts import Availability, CommitTimeout, OnAttempt
from storage.writer.backlog import BacklogLimits
from storage.writer.retention import Limits, Retention
from storage.writer.size_cap import SizeCap, batch_max_bytes
from storage.writer.spool_replay import SpoolReplay
from storage.writer.text_indexing import TextIndexing
from storage.writer.writer import Writer

log = logging.getLogger(__name__)

CLOSE_S: Final = 10.0
"""Time limit of each step of the stop. Records that are not stored by then stay in the rings for
the next start.
"""
QUEUE_BYTES_PER_RECORD: Final = 5592
"""Queue size that stands for one record, so that a queue of 16 MiB gives batches of 3000 records:
half the cost per row of 500, measured.
"""


class Part(NamedTuple):
    """A part that no other waits for."""

    name: str
    run: Callable[[], Coroutine[Any, Any, None]] | None = None
    """Runs from start to stop."""
    collect: Callable[[], Iterable[Metric]] = tuple
    """Makes its metrics at each scrape."""


@dataclass(slots=True, kw_only=True)
class ControlPlane:
    """The running parts of a collector."""

    storage: Storage
    writer: Writer
    events: InternalEvents
    committed: CommittedPositions
    drain: Drain
    sources: Sources
    status: StatusView
    running: Running
    workers: Workers
    readiness: Readiness
    metrics: Metrics
    tail: Tail
    retention: Retention
    size_cap: SizeCap
    keys: KeyPublisher
    builder: RecordBuilder
    endpoints: LearnedEndpoints
    export: Export
    alerting: Alerting
    fanout: SnapshotCursors | None
    access_log: AccessLog | None
    is_handing_over: bool = False
    """Whether another collector continues with the rings where this one stops."""
    unsettled_records: int = 0
    """Number of records that neither the store nor the spool took before the stop, including those
    still in rings.
    """

    async def ledger(self) -> Ledger:
        """Read positions and counters for the accounting in one synchronous step, including rings
        that were made just now.
        """
        self.sources.find()
        counts = {s.id: s.producer_counts for s in self.sources.attached.values()}
        return balance(self.committed.positions, counts, self.writer.spooled_records)

    async def on_key_changed(self, change: str, key: ApiKey) -> None:
        """Publish a key that was created, updated or deleted through the API, and log it."""
        await self.keys.refresh()
        data = {"change": change, "keyId": key.id, "keyName": key.name, "keyLast4": key.last4}
        self.events.add_event("key_changed", {**data, "disabled": key.disabled})


@asynccontextmanager
async def control_plane(
    settings: Settings,
    data: DataDir,
    wakeup: Wakeup,
    ring_directory: Path | None,
    follow: Callable[[Sources, StatusView, Workers], None] = lambda sources, status, workers: None,
) -> AsyncIterator[ControlPlane]:
    """Start writer and drain, with the store or offline. On exit, empty the rings, settle all
    records, and close the parts in order.

    `ring_directory` holds ring files of earlier runs, None if there are none. `follow` attaches the
    rings of running workers before rings that are gone are accounted for.

    Raises:
        StorageMisconfigured: as `started` does.
    """
    async with started(settings, data) as state, asyncio.TaskGroup() as tasks:
        plane, parts = _build(settings, data, state, ring_directory)
        await plane.keys.refresh()
        follow(plane.sources, plane.status, plane.workers)
        _find_rings(plane, state)
        tailing = tasks.create_task(_run_tail(settings, data, state, plane), name="tail")
        writing = tasks.create_task(plane.writer.run(), name="writer")
        draining = tasks.create_task(plane.drain.run(wakeup), name="drain")
        deleting = [
            tasks.create_task(each.run(), name="retention")
            for each in (plane.retention, plane.size_cap)
        ]
        exporting = tasks.create_task(plane.export.run(), name="export")
        assisting = [
            tasks.create_task(part.run(), name=part.name) for part in parts if part.run is not None
        ]

        try:
            yield plane
        finally:
            _cancel(deleting)
            if plane.is_handing_over:
                draining.cancel()
                await asyncio.wait((draining,))
            plane.unsettled_records = await _settle(plane, draining, writing)
            await _finish(plane, exporting)
            _cancel((tailing, exporting, *assisting))
            await plane.keys.flush_uses()
            await plane.endpoints.save()
            plane.sources.close()
            if state.spool is not None:
                state.spool.close()


async def _finish(plane: ControlPlane, exporting: asyncio.Task[None]) -> None:
    """Save and export everything stored by now, unless another collector takes over."""
    if plane.access_log is not None:
        await asyncio.to_thread(plane.access_log.close)
    if not plane.is_handing_over:
        await plane.export.finish(exporting)


def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()


def _find_rings(plane: ControlPlane, state: StartState) -> None:
    """Attach the rings of earlier runs."""
    if plane.sources.directory is not None:
        remove_unfinished(plane.sources.directory)
    plane.sources.find()
    if state.offline_since is not None:
        plane.drain.start_offline(is_holding=state.spool is None)


async def _run_tail(
    settings: Settings, data: DataDir, state: StartState, plane: ControlPlane
) -> None:
    """Run the tail; after an offline start, begin once the store is there."""
    if state.offline_since is not None:
        await reconcile(
            settings, data, state, plane.writer, plane.drain, plane.committed,
            lambda: plane.export.begin_at(_export_start(state, plane.committed, plane.writer)),
        )  # fmt: skip
        state.report(plane.events)
        state.recall(plane.builder)
        await plane.keys.refresh()

    await keep_tail(plane.tail, plane.storage, data.path, is_shared=is_shared(settings.storage.url))


def _build(
    settings: Settings, data: DataDir, state: StartState, ring_directory: Path | None
) -> tuple[ControlPlane, Sequence[Part]]:
    """Build the control plane in the order of the dependencies of its parts, without starting any,
    and list the parts that no other waits for.
    """
    storage = state.deferred.storage
    tail = state.tail
    effective = state.effective
    sources = Sources(ring_directory, effective)
    sources.keep_given(given_file(data.path))
    metrics = Metrics(tail, version=VERSION, build=BUILD)
    index = KeyIndex()
    keys = KeyPublisher(storage, data.path, sources.attached, index)
    endpoints = LearnedEndpoints(storage, settings, tail.forget)
    builder = RecordBuilder(data.instance, settings, index, endpoints.endpoints)
    state.recall(builder)
    size_cap = SizeCap(storage, settings.retention.max_bytes)
    writer = _build_writer(settings, data, state, metrics.observe_batch, size_cap)
    access_log = open_access_log(settings.log.access)
    events = InternalEvents(
        builder, writer, effective, None if access_log is None else access_log.observe
    )
    committed = CommittedPositions(sources, writer, events, effective)
    observers = [metrics.observe, UnlistedProxies(events.add_event, data.path).observe]
    observers += [] if access_log is None else [access_log.observe]
    drain = Drain(
        sources, builder, writer, storage, committed, events, observers, settings.capture.rules,
        pause_s=settings.storage.batch_max_age_ms / 1000,
    )  # fmt: skip
    state.report(events)
    report = partial(events.add_event, "retention")
    size_cap.on_deleted = report
    limits = Limits.of(settings.retention.max_age_days, settings.retention.body_max_age_days)
    retention = Retention(storage, limits, report)
    workers = Workers(sources.attached)
    waiting = partial(_waiting_records, sources, writer)
    text_indexing = TextIndexing(storage, waiting)
    replicas = ReplicaWatch(storage)
    export = _build_export(settings, data, state, committed, writer)
    status = StatusView(
        settings=settings, instance=data.instance, sources=sources, writer=writer, deferred=state.deferred,
        retention=retention, size_cap=size_cap, text_indexing=text_indexing, replicas=replicas, workers=workers,
        keys=keys, export=export,
    )  # fmt: skip
    places = WatchedPaths(
        {DATA_DIR: data.path, RING_DIR: ring_directory}, sources.attached, data.token
    )
    readiness = Readiness(
        status, writer, workers, places, keys,
        has_data_port=settings.proxy.data_port,
    )  # fmt: skip
    writer.subscribe(committed, tail)
    sources.subscribe(on_found=drain.on_found)
    sources.subscribe(on_found=keys.announce)
    alerting = make_alerting(settings, data.instance, storage)
    plane = ControlPlane(
        storage=storage, writer=writer, events=events, committed=committed, drain=drain, sources=sources, status=status,
        running=Running(sources, builder), workers=workers, readiness=readiness, metrics=metrics, tail=tail,
        retention=retention, size_cap=size_cap, keys=keys, builder=builder,
        endpoints=endpoints, export=export, fanout=state.fanout, access_log=access_log, alerting=alerting,
    )  # fmt: skip
    parts = [
        *_parts_of(plane, state, places, settings),
        Part("text index", text_indexing.run, lambda: families.text_index_families(text_indexing)),
        Part("replicas", replicas.run, lambda: families.replica_families(replicas.seen)),
    ]
    for part in parts:
        metrics.watch(part.collect)
    return plane, parts


def _parts_of(
    plane: ControlPlane, state: StartState, places: WatchedPaths, settings: Settings
) -> list[Part]:
    """List parts of a control plane that no other waits for, with their tasks and their metrics."""
    sources = plane.sources
    workers = plane.workers
    store = plane.writer, plane.retention, plane.size_cap, state.spool
    certificates = certificates_of(settings)
    if settings.proxy.data_port:
        ring_bytes = settings.ring.bytes
    else:
        ring_bytes = 0

    parts = [
        Part("workers", None, lambda: families.worker_families(sources.counters())),
        Part("rings", None, lambda: families.ring_families(sources, ring_bytes)),
        Part("store", None, lambda: families.store_families(*store)),
        Part(
            "watch",
            plane.readiness.run,
            lambda: families.process_families(sources, workers, places),
        ),
        Part("export", None, lambda: families.otel_families(plane.export.exporters)),
        Part("keys", plane.keys.run),
        Part("endpoints", plane.endpoints.run),
        Part("alerts", plane.alerting.run, plane.alerting.families),
        Part("garbage", partial(garbage.collect_rarely, garbage.COLLECTOR.rest)),
        Part("memory", malloc.trim_regularly),
        Part("certificates", None, certificates.families),
        Part("processes", None, lambda: usage_families(workers.process_ids())),
        Part("builder", None, lambda: eviction_families(*plane.builder.call_evictions)),
    ]
    if plane.access_log is not None:
        log_families = partial(families.access_log_families, plane.access_log)
        parts.append(Part("access log", None, log_families))
    return parts


def _build_export(
    settings: Settings,
    data: DataDir,
    state: StartState,
    committed: CommittedPositions,
    writer: Writer,
) -> Export:
    export = Export(
        settings.otel,
        state.deferred.storage,
        data.instance,
        lambda: _stored_records(committed, writer),
    )
    if state.offline_since is None:
        export.begin_at(_export_start(state, committed, writer))
    return export


def _export_start(state: StartState, committed: CommittedPositions, writer: Writer) -> Progress:
    """Return the position at which a new export starts: after everything stored before this start."""
    return Progress(seq=state.tail.head_id // 2, counted=_stored_records(committed, writer))


def _stored_records(committed: CommittedPositions, writer: Writer) -> int:
    return balance(committed.positions, {}, writer.spooled_records).stored


def _build_writer(
    settings: Settings, data: DataDir, state: StartState, on_attempt: OnAttempt, size_cap: SizeCap
) -> Writer:
    configured = settings.storage
    max_bytes = settings.retention.max_bytes
    # What is queued is still in its ring: the queue has to be full before that is, or the spool
    # would never be used. A record takes more of the queue than of the ring.
    queue_max_bytes = min(configured.queue_max_bytes, settings.ring.bytes)
    replay = None
    if state.spool is not None:
        replay = SpoolReplay(state.spool, state.committed, offline_since=state.offline_since)
    return Writer(
        state.deferred.storage,
        instance=data.instance,
        quarantine_directory=data.path / "quarantine",
        limits=BacklogLimits(
            max_records=queue_max_bytes // QUEUE_BYTES_PER_RECORD,
            max_bytes=batch_max_bytes(max_bytes, queue_max_bytes // 2),
            max_age_s=configured.batch_max_age_ms / 1000,
            queue_max_bytes=queue_max_bytes,
        ),
        spool=replay,
        availability=Availability(is_up=state.offline_since is None),
        timeout=CommitTimeout(),
        on_attempt=on_attempt,
        make_room=size_cap.make_room,
    )


def _waiting_records(sources: Sources, writer: Writer) -> int:
    """Count the records on their way to the store: in rings, in the writer, in the spool."""
    return _in_rings(sources) + writer.waiting_records + writer.spooled_records


def _in_rings(sources: Sources) -> int:
    return sum(
        source.waiting_records for source in sources.attached.values() if not source.is_closing
    )


async def _settle(
    plane: ControlPlane, draining: asyncio.Task[None], writing: asyncio.Task[None]
) -> int:
    """Empty the rings unless draining has ended, and store their records within the time limit; the
    rings keep the rest.

    Returns:
        The number of records that are neither in a store nor in a spool.
    """
    if not draining.done():
        plane.drain.stop()
        try:
            async with asyncio.timeout(CLOSE_S):
                await asyncio.shield(draining)
        except TimeoutError:
            draining.cancel()

    unsettled = await plane.writer.close(CLOSE_S)
    writing.cancel()
    if unsettled:
        log.warning(
            "timed out waiting for the store; unstored records stay in the rings",
            extra={"records": unsettled},
        )

    return unsettled + _in_rings(plane.sources)


def log_each(group: BaseExceptionGroup[StorageError]) -> None:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            log_each(error)
        else:
            log.error("%s", error)
