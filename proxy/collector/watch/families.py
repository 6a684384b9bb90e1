"""Metric families of the running parts, read at each scrape: workers, rings, processes, ports,
writer, exports.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from api.metrics.metrics import (
    NO_ROUTE,
    by_route,
    counters,
    gauge,
    gauges,
    keyed_twice,
    total,
    totals,
)
from proxy.collector.access_log import AccessLog
from proxy.collector.rings.sources import Sources
from proxy.collector.watch.watched_paths import WatchedPaths
from proxy.collector.watch.workers import Workers
from proxy.otel.exporter import ExportCounters, Exporter
from proxy.process.logs import lines_dropped
from proxy.ring.counters import CounterSnapshot
from storage.query import REPLICA_STATES, ROLLUP_METHODS, Replica
from storage.writer.retention import Retention
from storage.writer.size_cap import SizeCap
from storage.writer.spool import Spool
from storage.writer.text_indexing import TextIndexing
from storage.writer.writer import Writer

_US_PER_S: Final = 1e6


def worker_families(counted: CounterSnapshot) -> Iterator[Metric]:
    """Yield the data plane's counters over all workers, living and gone, since the start."""
    yield from _request_families(counted)
    yield from _connection_families(counted)
    yield from _recording_families(counted)
    yield from _open_families(counted)


def _request_families(counted: CounterSnapshot) -> Iterator[Metric]:
    requests = Counter[tuple[str, ...]]()
    for (route, method, status), count in counted.requests.items():
        if method in ROLLUP_METHODS:
            known_method = method
        else:
            known_method = "OTHER"
        requests[route or NO_ROUTE, known_method, status] += count
    yield counters("requests", "Finished exchanges.", ["route", "method", "status"], requests)

    text = "Body bytes received from clients."
    yield totals("request_bytes", text, "route", by_route(counted.request_bytes))
    text = "Body bytes sent to clients."
    yield totals("response_bytes", text, "route", by_route(counted.response_bytes))

    errors = Counter[tuple[str, ...]]()
    for (route, reason), count in counted.upstream_errors.items():
        errors[route or NO_ROUTE, reason] += count
    yield counters("upstream_errors", "Upstream failures.", ["route", "reason"], errors)
    text = "Requests refused for their API key, by code."
    yield totals("auth_failures", text, "code", counted.auth_failures)


def _connection_families(counted: CounterSnapshot) -> Iterator[Metric]:
    text = "Client connections above a limit."
    yield total("connections_refused", text, counted.refused_connections)
    text = (
        "Client connections that waited and were closed to make room for new ones at "
        "max_connections."
    )
    yield total("connections_displaced", text, counted.displaced_connections)
    text = "Connections of the TLS data port whose handshake failed, by reason."
    yield totals("tls_failures", text, "reason", counted.tls_failures)
    text = "Connections closed because their PROXY header was malformed or did not come, by reason."
    yield totals("proxy_protocol_failures", text, "reason", counted.proxy_failures)
    text = "Connections to the port of outgoing calls, by what became of them."
    yield totals("egress_connections", text, "outcome", counted.egress)


def _recording_families(counted: CounterSnapshot) -> Iterator[Metric]:
    text = (
        "WebSocket messages that passed unrecorded: above a connection's rate, or their part of "
        "the ring."
    )
    yield total("websocket_messages_dropped", text, counted.dropped_messages)
    text = (
        "Messages of gRPC streams that passed unrecorded: above a stream's rate, or their part of "
        "the ring."
    )
    yield total("grpc_messages_dropped", text, counted.dropped_grpc_messages)

    text = (
        "Requests and reads of messages that were delayed until their records found room in a ring."
    )
    yield total("recording_waits", text, counted.recording_waits)
    text = (
        "Seconds that requests and reads of messages were delayed until their records found room "
        "in a ring."
    )
    yield total("recording_wait_seconds", text, counted.recording_wait_us / _US_PER_S)
    text = (
        "Times that requests ceased to wait for room in a ring because nothing had left it for 15 "
        "s."
    )
    yield total("recording_standstills", text, counted.recording_standstills)


def _open_families(counted: CounterSnapshot) -> Iterator[Metric]:
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
    yield counters("http2_streams_reset", text, ["side", "code"], counted.http2_resets)
    text = "Connections of HTTP/2 that were ended by us, by the code of the GOAWAY."
    yield totals("http2_connections_ended", text, "reason", counted.http2_ends)
    yield gauge("requests_in_flight", "Exchanges not yet finished.", counted.requests_in_flight)


def ring_families(sources: Sources, default_capacity_bytes: int) -> Iterator[Metric]:
    """Yield the fill level of the rings; without rings the capacity is the default."""
    attached = list(sources.attached.values())
    used = {str(index): source.reader.used_bytes for index, source in enumerate(attached)}
    yield gauges("ring_bytes", "Bytes waiting in a worker's ring.", "worker", used)

    if attached:
        capacity = attached[0].segment.capacity
    else:
        capacity = default_capacity_bytes
    yield gauge("ring_capacity_bytes", "Size of each worker's ring.", capacity)


def process_families(sources: Sources, workers: Workers, places: WatchedPaths) -> Iterator[Metric]:
    """Yield lost log lines, reloads, removed files, unread rings, and workers from before a reload."""
    supervisor = workers.supervisor
    lost = {"worker": sources.counters().log_lines_dropped}
    if supervisor is not None:
        lost |= {"supervisor": supervisor.log_lines_dropped, "collector": lines_dropped()}
    text = "Lines of sidelog's own log that stderr did not take."
    yield totals("log_lines_dropped", text, "process", lost)
    if supervisor is None:
        reloads = {}
    else:
        reloads = supervisor.reloads
    text = "Reloads of the configuration, by result: done, refused."
    yield totals("reloads", text, "result", reloads)

    text = (
        "Times a directory, ring, state or token file was found removed while sidelog ran, by "
        "place."
    )
    yield totals("places_removed", text, "place", places.removed)
    text = "Workers whose ring the collector does not read."
    yield gauge("rings_unread", text, len(workers.unread))
    text = "Workers of before a reload that still serve their last clients."
    yield gauge("old_workers", text, workers.leaving)


def port_families(
    closed: Mapping[str, Mapping[str, int]], refused: Mapping[str, int]
) -> Iterator[Metric]:
    """Yield the number of connections that the collector's own ports closed, by port and reason,
    and of requests that the admin port refused for their token, by kind.
    """
    text = (
        "Connections of sidelog's own ports that were closed: no room, a deadline, TLS that "
        "failed; by reason."
    )
    yield counters("admin_connections_closed", text, ["port", "reason"], keyed_twice(closed))
    text = (
        "Requests that the admin port refused for their token, by kind: login, missing, token "
        "(a wrong one)."
    )
    yield totals("admin_auth_failures", text, "kind", refused)


def access_log_families(access_log: AccessLog) -> Iterator[Metric]:
    text = "Access log lines that stdout did not take."
    yield total("access_log_dropped", text, access_log.dropped)


def store_families(
    writer: Writer,
    retention: Retention,
    size_cap: SizeCap,
    spool: Spool | None,
) -> Iterator[Metric]:
    """Yield the state of store, spool, retention and size cap."""
    text = "Whether the store is there: one that is slow to take a commit is."
    yield gauge("storage_up", text, int(writer.is_storage_up))
    text = "Age of the oldest record not yet stored."
    yield gauge("oldest_unstored_seconds", text, writer.oldest_unstored_s)

    text = "Disk space used by the spool."
    yield gauge("spool_bytes", text, spool.size_bytes if spool else 0)
    text = "What the spool may use; 0 without one."
    yield gauge("spool_capacity_bytes", text, spool.capacity_bytes if spool else 0)

    text = "Age of rows that retention has hidden and not yet deleted."
    yield gauge("retention_lag_seconds", text, retention.lag_s)
    text = "Erased records that are hidden from all readers but not yet deleted from the store."
    yield gauge("erasing_records", text, retention.erasing)

    text = "Failed writes and syncs of the spool."
    yield total("spool_errors", text, spool.errors if spool else 0)
    rows = {"age": retention.rows_purged, "size": size_cap.total.rows}
    text = "Rows deleted by retention since the start, by reason: age, size."
    yield totals("records_purged", text, "reason", rows)
    text = "Records whose bodies were deleted to keep the store within its size cap, at most."
    yield total("bodies_trimmed", text, size_cap.total.bodies)
    if size_cap.reaches_back_us is not None:
        oldest_s = size_cap.reaches_back_us / _US_PER_S
        yield gauge("oldest_record_timestamp_seconds", "When the oldest record started.", oldest_s)


def text_index_families(indexing: TextIndexing) -> Iterator[Metric]:
    """Yield the progress of the text index, and its size once known."""
    yield total("text_index_records", "Records added to the text index.", indexing.records)
    text = "Failed steps of building the text index; they are retried."
    yield total("text_index_errors", text, indexing.errors)

    if indexing.state is not None:
        text = "Records that are not in the text index yet; searches scan each of them."
        yield gauge("text_index_waiting_records", text, indexing.state.waiting)
        yield gauge("text_index_bytes", "Size of the text index.", indexing.state.size_bytes)


def replica_families(replicas: Sequence[Replica]) -> Iterator[Metric]:
    """Yield the number of replicas in each state, 0 without any, and the state of each one."""
    states = Counter(replica.state for replica in replicas)
    by_state = {state: states[state] for state in REPLICA_STATES}
    text = (
        "Replicas of the store: whole, left_out until they have caught up, away, unknown without "
        "a coordinator."
    )
    yield gauges("store_replicas", text, "state", by_state)
    if not replicas:
        return

    # One that is away says nothing of itself.
    answering = [replica for replica in replicas if not replica.reason]
    waiting = {replica.host: replica.waiting for replica in answering}
    text = "Replication steps that a replica still has to run."
    yield gauges("store_replica_waiting", text, "replica", waiting)
    delays_s = {replica.host: replica.delay_s for replica in answering}
    text = "Age of the oldest data that a replica lacks."
    yield gauges("store_replica_delay_seconds", text, "replica", delays_s)
    whole = {replica.host: int(replica.state == "whole") for replica in replicas}
    text = "Whether a replica has everything that is committed."
    yield gauges("store_replica_whole", text, "replica", whole)
    read_only = {replica.host: int(replica.is_read_only) for replica in answering}
    text = "Whether a replica has no coordinator."
    yield gauges("store_replica_read_only", text, "replica", read_only)


def otel_families(exporters: Sequence[Exporter]) -> Iterator[Metric]:
    """Yield the state of all exports, by signal; nothing without an export."""
    if not exporters:
        return

    counted: dict[str, ExportCounters] = {each.signal: each.counters for each in exporters}
    exported = {signal: each.exported for signal, each in counted.items()}
    text = "Spans or log records that the OpenTelemetry receiver took."
    yield totals("otel_exported", text, "signal", exported)
    rejected = {signal: each.rejected for signal, each in counted.items()}
    text = "Spans or log records that the OpenTelemetry receiver refused; they are not sent again."
    yield totals("otel_rejected", text, "signal", rejected)
    missed = {signal: each.missed_records for signal, each in counted.items()}
    text = "Records that were deleted before they could be exported."
    yield totals("otel_missed_records", text, "signal", missed)
    failed = keyed_twice({signal: each.failures for signal, each in counted.items()})
    text = "Export requests that failed, by reason."
    yield counters("otel_failures", text, ["signal", "reason"], failed)

    waiting: dict[str, int] = {each.signal: each.waiting_records for each in exporters}
    yield gauges(
        "otel_waiting_records", "Stored records that are not exported yet.", "signal", waiting
    )
    lags_s: dict[str, float] = {each.signal: each.lag_s for each in exporters}
    text = "Age of the oldest record that is known to wait for its export."
    yield gauges("otel_lag_seconds", text, "signal", lags_s)
