"""What the metrics read at each scrape: the sums over all workers, the processes, the way to the store, the exports."""

import os

from api.metrics.metrics import StoreStatus, WorkerTotals
from api.metrics.otel_metrics import ExportStatus
from api.metrics.process_metrics import ProcessTotals
from proxy.collector.sources import Sources
from proxy.collector.watch.places import Places
from proxy.collector.watch.workers import Workers
from proxy.otel.exporter import Exporter
from proxy.process.logs import lines_dropped
from storage.writer.deferred import DeferredStorage
from storage.writer.retention import Retention
from storage.writer.size_cap import SizeCap
from storage.writer.spool import Spool
from storage.writer.writer import Writer


def worker_totals(sources: Sources, default_capacity_bytes: int) -> WorkerTotals:
    """Return the sum of the data plane's counters; without a ring its capacity is the default."""
    counters = sources.counters()
    attached = list(sources.attached.values())
    return WorkerTotals(
        requests=counters.requests,
        request_bytes=counters.request_bytes,
        response_bytes=counters.response_bytes,
        connections_open={"downstream": counters.connections_downstream, "upstream": counters.connections_upstream},
        requests_in_flight=counters.requests_in_flight,
        upstream_errors=counters.upstream_errors,
        auth_failures=counters.auth_failures,
        connections_refused=counters.refused_connections,
        connections_displaced=counters.displaced_connections,
        messages_dropped=counters.dropped_messages,
        recording_waits=counters.recording_waits,
        recording_wait_s=counters.recording_wait_us / 1e6,
        tls_failures=counters.tls_failures,
        proxy_failures=counters.proxy_failures,
        ring_bytes={str(index): source.reader.used_bytes for index, source in enumerate(attached)},
        ring_capacity_bytes=attached[0].segment.capacity if attached else default_capacity_bytes,
    )


def process_totals(sources: Sources, workers: Workers, places: Places) -> ProcessTotals:
    """Return what the processes say of themselves."""
    supervisor = workers.supervisor
    lost = {"worker": sources.counters().log_lines_dropped}
    if supervisor is not None:
        lost |= {"supervisor": supervisor.log_lines_dropped, "collector": lines_dropped()}
    return ProcessTotals(
        log_lines_dropped=lost,
        reloads={} if supervisor is None else supervisor.reloads,
        rings_unread=len(workers.unread),
        places_removed=places.removed,
    )


def process_ids(workers: Workers) -> dict[str, int]:
    """Return the ids of all processes of this sidecar, by their names; without a supervisor there is but one."""
    own, shown = os.getpid(), workers.shown or ()
    if not shown or any(worker.pid == own for worker in shown):
        return {"sidelog": own}
    found = {"supervisor": os.getppid(), "collector": own}
    for worker in shown:
        if worker.pid is not None:
            found[f"{worker.name} leaving" if worker.leaving else worker.name] = worker.pid
    return found


def store_status(
    writer: Writer, retention: Retention, size_cap: SizeCap, spool: Spool | None, deferred: DeferredStorage
) -> StoreStatus:
    """Return the state of the way to the store."""
    reaches_back_us = size_cap.reaches_back_us
    return StoreStatus(
        is_up=writer.is_storage_up,
        oldest_unstored_s=writer.oldest_unstored_s,
        spool_bytes=0 if spool is None else spool.size_bytes,
        spool_capacity_bytes=0 if spool is None else spool.capacity_bytes,
        spool_errors=0 if spool is None else spool.errors,
        retention_lag_s=retention.lag_s,
        erasing_records=retention.erasing,
        records_purged={"age": retention.rows_purged, "size": size_cap.total.rows},
        replaced=deferred.replaced,
        bodies_trimmed=size_cap.total.bodies,
        reaches_back_s=None if reaches_back_us is None else reaches_back_us / 1e6,
    )


def export_status(exporter: Exporter) -> ExportStatus:
    """Return how far an export has come."""
    counted = exporter.counters
    return ExportStatus(
        exported=counted.exported,
        rejected=counted.rejected,
        missed_records=counted.missed_records,
        failures=counted.failures,
        waiting_records=exporter.waiting_records,
        lag_s=exporter.lag_s,
    )
