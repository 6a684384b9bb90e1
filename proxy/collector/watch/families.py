"""Metric families of what runs, read at each scrape: workers and rings, processes and ports, the
way to the store.
"""

import itertools
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from api.metrics.metrics import NO_ROUTE, by_route, counters, gauge, gauges, keyed, keyed_twice
from proxy.collector.access_log import AccessLog
from proxy.collector.rings.sources import Sources
from proxy.collector.watch.watched_paths import WatchedPaths
from proxy.collector.watch.workers import Workers
from proxy.otel.exporter import Exporter
from proxy.process.logs import lines_dropped
from proxy.ring.counters import CounterSnapshot
from proxy.ring.outlook import Outlook, outlook_name
from storage.query import REPLICA_STATES, ROLLUP_METHODS, Replica
from storage.writer.deferred import DeferredStorage
from storage.writer.retention import Retention
from storage.writer.size_cap import SizeCap
from storage.writer.spool import Spool
from storage.writer.text_indexing import TextIndexing
from storage.writer.writer import Writer

_US_PER_S: Final = 1e6


def worker_families(counted: CounterSnapshot) -> Iterator[Metric]:
    """Yield the data plane's counters over all workers, living and gone, since the start."""
    requests: dict[tuple[str, ...], int] = {}
    for (route, method, status), count in counted.requests.items():
        labels = (route or NO_ROUTE, method if method in ROLLUP_METHODS else "OTHER", status)
        requests[labels] = requests.get(labels, 0) + count
    yield counters("requests", "Finished exchanges.", ["route", "method", "status"], requests)
    yield counters(
        "request_bytes",
        "Body bytes received from clients.",
        ["route"],
        by_route(counted.request_bytes),
    )
    yield counters(
        "response_bytes", "Body bytes sent to clients.", ["route"], by_route(counted.response_bytes)
    )
    yield counters(
        "upstream_errors",
        "Upstream failures.",
        ["route", "reason"],
        {
            (route or NO_ROUTE, reason): count
            for (route, reason), count in counted.upstream_errors.items()
        },
    )
    yield counters(
        "auth_failures",
        "Requests refused for their API key, by code.",
        ["code"],
        keyed(counted.auth_failures),
    )
    yield counters(
        "connections_refused",
        "Client connections above a limit.",
        [],
        {(): counted.refused_connections},
    )
    displaced = (
        "Client connections that waited and were closed to make room for new ones at "
        "max_connections."
    )
    yield counters("connections_displaced", displaced, [], {(): counted.displaced_connections})
    failed = "Connections of the TLS data port whose handshake failed, by reason."
    yield counters("tls_failures", failed, ["reason"], keyed(counted.tls_failures))
    failed = (
        "Connections closed because their PROXY header was malformed or did not come, by reason."
    )
    yield counters("proxy_protocol_failures", failed, ["reason"], keyed(counted.proxy_failures))
    shed = (
        "WebSocket messages that passed unrecorded: above a connection's rate, or their part of "
        "the ring."
    )
    yield counters("websocket_messages_dropped", shed, [], {(): counted.dropped_messages})
    shed = (
        "Messages of gRPC streams that passed unrecorded: above a stream's rate, or their part of "
        "the ring."
    )
    yield counters("grpc_messages_dropped", shed, [], {(): counted.dropped_grpc_messages})
    yield from _recording_families(counted)
    family = GaugeMetricFamily(
        "sidelog_connections_open", "Open connections.", labels=["side", "protocol"]
    )

    for side, count, http2 in (
        ("downstream", counted.connections_downstream, counted.connections_http2),
        ("upstream", counted.connections_upstream, counted.connections_upstream_http2),
    ):
        family.add_metric([side, "http1"], count - http2)
        family.add_metric([side, "http2"], http2)

    yield family
    text = (
        "Streams of HTTP/2 that were reset or refused, by the client, us as the server, or the "
        "upstream; and the code."
    )
    resets: dict[tuple[str, ...], float] = {
        (side, code): count for (side, code), count in counted.http2_resets.items()
    }
    yield counters("http2_streams_reset", text, ["side", "code"], resets)
    text = "Connections of HTTP/2 that were ended by us, by the code of the GOAWAY."
    yield counters("http2_connections_ended", text, ["reason"], keyed(counted.http2_ends))
    yield gauge("requests_in_flight", "Exchanges not yet finished.", counted.requests_in_flight)


def _recording_families(counted: CounterSnapshot) -> Iterator[Metric]:
    waited = (
        "Requests and reads of messages that were delayed until their records found room in a ring."
    )
    yield counters("recording_waits", waited, [], {(): counted.recording_waits})
    waited = (
        "Seconds that requests and reads of messages were delayed until their records found room "
        "in a ring."
    )
    yield counters(
        "recording_wait_seconds", waited, [], {(): counted.recording_wait_us / _US_PER_S}
    )
    stood = (
        "Times that requests ceased to wait for room in a ring because nothing had left it for 15 "
        "s."
    )
    yield counters("recording_standstills", stood, [], {(): counted.recording_standstills})


def ring_families(sources: Sources, default_capacity_bytes: int) -> Iterator[Metric]:
    """Yield how full the rings are; without a ring its capacity is the default."""
    attached = list(sources.attached.values())
    used = {str(index): source.reader.used_bytes for index, source in enumerate(attached)}
    yield gauges("ring_bytes", "Bytes waiting in a worker's ring.", "worker", used)
    hopeless = Counter(outlook_name(source.reader.outlook) for source in attached)
    said = {
        word.name.lower(): hopeless[word.name.lower()] for word in (Outlook.FULL, Outlook.GIVEN_UP)
    }
    text = (
        "Rings in which no room will be made, so that requests do not wait: the spool is full "
        "too, or given up."
    )
    yield gauges("rings_hopeless", text, "reason", said)
    if attached:
        capacity = attached[0].segment.capacity
    else:
        capacity = default_capacity_bytes
    yield gauge("ring_capacity_bytes", "Size of each worker's ring.", capacity)


def process_families(sources: Sources, workers: Workers, places: WatchedPaths) -> Iterator[Metric]:
    """Yield what the processes say of themselves."""
    supervisor = workers.supervisor
    lost = {"worker": sources.counters().log_lines_dropped}
    if supervisor is not None:
        lost |= {"supervisor": supervisor.log_lines_dropped, "collector": lines_dropped()}
    text = "Lines of sidelog's own log that stderr did not take."
    yield counters("log_lines_dropped", text, ["process"], keyed(lost))
    text = "Reloads of the configuration, by result: done, refused."
    yield counters(
        "reloads", text, ["result"], keyed({} if supervisor is None else supervisor.reloads)
    )
    text = (
        "Times a directory, ring, state or token file was found removed while sidelog ran, by "
        "place."
    )
    yield counters("places_removed", text, ["place"], keyed(places.removed))
    yield gauge(
        "rings_unread", "Workers whose ring the collector does not read.", len(workers.unread)
    )
    yield gauge(
        "old_workers",
        "Workers of before a reload that still serve their last clients.",
        workers.old,
    )


def port_families(closed: Mapping[str, Mapping[str, int]]) -> Iterator[Metric]:
    """Yield how many connections the collector's own ports closed; `closed`: port → reason →
    connections.
    """
    text = (
        "Connections of sidelog's own ports that were closed: no room, a deadline, TLS that "
        "failed; by reason."
    )
    yield counters("admin_connections_closed", text, ["port", "reason"], keyed_twice(closed))


def access_log_families(access_log: AccessLog) -> Iterator[Metric]:
    text = "Access log lines that stdout did not take."
    yield counters("access_log_dropped", text, [], {(): access_log.dropped})


def process_ids(workers: Workers) -> dict[str, int]:
    """Return the ids of all processes of this sidecar, by their names; without a supervisor there
    is but one.
    """
    own = os.getpid()
    shown = workers.shown or ()
    if not shown or any(worker.pid == own for worker in shown):
        return {"sidelog": own}

    found = {"supervisor": os.getppid(), "collector": own}
    for worker in shown:
        if worker.pid is not None:
            found[_unused(f"{worker.name} leaving" if worker.leaving else worker.name, found)] = (
                worker.pid
            )

    return found


def _unused(name: str, found: dict[str, int]) -> str:
    """Return a name, with a number where others have it: several of before may serve their last
    clients.
    """
    numbers = itertools.count(2)
    unused = name
    while unused in found:
        unused = f"{name} {next(numbers)}"
    return unused


def store_families(
    writer: Writer,
    retention: Retention,
    size_cap: SizeCap,
    spool: Spool | None,
    deferred: DeferredStorage,
) -> Iterator[Metric]:
    """Yield the state of the way to the store."""
    yield gauge(
        "storage_up",
        "Whether the store is there: one that is slow to take a commit is.",
        int(writer.is_storage_up),
    )
    yield gauge(
        "oldest_unstored_seconds",
        "Age of the oldest record not yet stored.",
        writer.oldest_unstored_s,
    )
    yield gauge("spool_bytes", "Disk space used by the spool.", spool.size_bytes if spool else 0)
    yield gauge(
        "spool_capacity_bytes",
        "What the spool may use; 0 without one.",
        spool.capacity_bytes if spool else 0,
    )
    lag = "Age of rows that retention has hidden and not yet deleted."
    yield gauge("retention_lag_seconds", lag, retention.lag_s)
    erasing = "Erased records that are hidden from all readers but not yet deleted from the store."
    yield gauge("erasing_records", erasing, retention.erasing)
    yield counters(
        "spool_errors",
        "Failed writes and syncs of the spool.",
        [],
        {(): spool.errors if spool else 0},
    )
    purged = "Rows deleted by retention since the start, by reason: age, size."
    rows = {"age": retention.rows_purged, "size": size_cap.total.rows}
    yield counters("records_purged", purged, ["reason"], keyed(rows))
    replaced = "Times that an empty store replaced a lost one, by reason: damaged, removed."
    yield counters("store_replaced", replaced, ["reason"], keyed(deferred.replaced))
    trimmed = "Records whose bodies were deleted to keep the store within its size cap, at most."
    yield counters("bodies_trimmed", trimmed, [], {(): size_cap.total.bodies})
    if size_cap.reaches_back_us is not None:
        oldest_s = size_cap.reaches_back_us / _US_PER_S
        yield gauge("oldest_record_timestamp_seconds", "When the oldest record started.", oldest_s)


def text_index_families(indexing: TextIndexing) -> Iterator[Metric]:
    """Yield how far the text index has come, and how large it is."""
    indexed = "Records added to the text index."
    yield counters("text_index_records", indexed, [], {(): indexing.records})
    failed = "Failed steps of building the text index; they are retried."
    yield counters("text_index_errors", failed, [], {(): indexing.errors})

    if indexing.state is not None:
        waiting = "Records that are not in the text index yet; searches scan each of them."
        yield gauge("text_index_waiting_records", waiting, indexing.state.waiting)
        yield gauge("text_index_bytes", "Size of the text index.", indexing.state.size_bytes)


def replica_families(replicas: Sequence[Replica]) -> Iterator[Metric]:
    """Yield how many copies of the store are in which state, always, and of each one what it says
    of itself.
    """
    states = Counter(replica.state for replica in replicas)
    counted = (
        "Replicas of the store: whole, left_out until they have caught up, away, unknown without "
        "a coordinator."
    )
    yield gauges(
        "store_replicas", counted, "state", {state: states[state] for state in REPLICA_STATES}
    )
    if not replicas:
        return

    answering = [replica for replica in replicas if not replica.reason]
    text = "Replication steps that a replica still has to run."
    yield gauges(
        "store_replica_waiting", text, "replica", {each.host: each.waiting for each in answering}
    )
    text = "Age of the oldest data that a replica lacks."
    yield gauges(
        "store_replica_delay_seconds",
        text,
        "replica",
        {each.host: each.delay_s for each in answering},
    )
    whole = {replica.host: int(replica.state == "whole") for replica in replicas}
    yield gauges(
        "store_replica_whole",
        "Whether a replica has everything that is committed.",
        "replica",
        whole,
    )
    read_only = {replica.host: int(replica.is_read_only) for replica in answering}
    yield gauges(
        "store_replica_read_only", "Whether a replica has no coordinator.", "replica", read_only
    )


def otel_families(exporters: Sequence[Exporter]) -> Iterator[Metric]:
    """Yield how all exports are doing, by signal; nothing without an export."""
    if not exporters:
        return
    counted = {each.signal: each.counters for each in exporters}
    text = "Spans or log records that the OpenTelemetry receiver took."
    yield counters(
        "otel_exported",
        text,
        ["signal"],
        keyed({name: each.exported for name, each in counted.items()}),
    )
    text = "Spans or log records that the OpenTelemetry receiver refused; they are not sent again."
    yield counters(
        "otel_rejected",
        text,
        ["signal"],
        keyed({name: each.rejected for name, each in counted.items()}),
    )
    text = "Records that were deleted before they could be exported."
    missed = keyed({name: each.missed_records for name, each in counted.items()})
    yield counters("otel_missed_records", text, ["signal"], missed)
    failed = keyed_twice({name: each.failures for name, each in counted.items()})
    yield counters(
        "otel_failures", "Export requests that failed, by reason.", ["signal", "reason"], failed
    )
    text = "Stored records that are not exported yet."
    yield gauges(
        "otel_waiting_records",
        text,
        "signal",
        {each.signal: each.waiting_records for each in exporters},
    )
    text = "Age of the oldest record that is known to wait for its export."
    yield gauges(
        "otel_lag_seconds", text, "signal", {each.signal: each.lag_s for each in exporters}
    )
