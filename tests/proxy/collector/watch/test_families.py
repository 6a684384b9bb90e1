"""Metric families of workers, rings, processes, ports, the way to the store, exports."""

import json
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import Metric

from proxy.collector.watch.families import (
    otel_families,
    port_families,
    process_families,
    replica_families,
    ring_families,
    store_families,
    text_index_families,
    worker_families,
)
from proxy.collector.watch.watched_paths import DATA_DIR, RING, RING_DIR, STATE, WatchedPaths
from proxy.collector.watch.workers import Workers
from proxy.otel.exporter import Exporter, Progress
from proxy.otel.reading import Reader
from proxy.otel.requests import Signal
from proxy.ring.counters import CounterSnapshot
from storage.purge import TextIndex
from storage.query import Replica
from storage.writer.retention import Limits, Retention
from storage.writer.size_cap import SizeCap
from storage.writer.text_indexing import TextIndexing
from tests.support.memory_store import MemoryStorage
from tests.support.otlp_sender import FakeSender
from tests.support.rings import RingWorker, collecting


def values(families: Iterable[Metric]) -> dict[tuple[str, ...], float]:
    """Return the samples: name without prefix, and label values → value."""
    return {
        (family.name.removeprefix("sidelog_"), *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_every_counter_of_the_data_plane_has_its_value() -> None:
    """Unknown methods are counted together; requests without a route have the route `none`."""
    counted = CounterSnapshot(
        requests={
            ("default", "GET", "2xx"): 5,
            ("default", "BREW", "4xx"): 1,
            ("default", "MAKE", "4xx"): 2,
            ("default", "PROPFIND", "2xx"): 6,
            ("", "GET", "4xx"): 8,
        },
        request_bytes={"default": 10, "": 3},
        response_bytes={"default": 20},
        connections_downstream=3,
        connections_http2=1,
        connections_upstream=2,
        requests_in_flight=1,
        upstream_errors={("default", "refused"): 4, ("", "refused"): 5, ("none", "refused"): 6},
        dropped_messages=12,
        dropped_grpc_messages=13,
        recording_wait_us=2_500_000,
        recording_standstills=2,
    )
    read = values(worker_families(counted))
    assert read["requests", "default", "GET", "2xx"] == 5
    assert read["requests", "default", "OTHER", "4xx"] == 3
    assert read["requests", "default", "PROPFIND", "2xx"] == 6
    assert read["requests", "none", "GET", "4xx"] == 8
    assert (read["request_bytes", "default"], read["request_bytes", "none"]) == (10, 3)
    assert read["response_bytes", "default"] == 20
    opened = [
        read["connections_open", side, name]
        for side in ("downstream", "upstream")
        for name in ("http1", "http2")
    ]
    assert opened == [2, 1, 2, 0]
    assert read["requests_in_flight",] == 1
    assert (read["websocket_messages_dropped",], read["grpc_messages_dropped",]) == (12, 13)
    assert read["recording_wait_seconds",] == 2.5
    assert read["recording_standstills",] == 2
    assert read["upstream_errors", "default", "refused"] == 4
    assert read["upstream_errors", "none", "refused"] == 5 + 6, "a route may be called none"


async def test_totals_add_up_over_workers(tmp_path: Path) -> None:
    """Counters are sums of all workers; each ring has a gauge of its own."""
    workers = [RingWorker(tmp_path) for _ in range(2)]
    for worker in workers:
        worker.record(2)
    async with collecting(tmp_path, MemoryStorage(), is_draining=False) as plane:
        assert (
            values(worker_families(plane.sources.counters()))["requests", "shop", "GET", "2xx"] == 4
        )
        rings = values(ring_families(plane.sources, 0))
        assert rings.pop(("ring_capacity_bytes",)) == 1 << 20
        assert len(rings) == 2
        assert all(used > 0 for used in rings.values())

    for worker in workers:
        worker.die()


async def test_the_way_to_the_store_has_its_values(tmp_path: Path) -> None:
    """With a spool and a cap on size."""
    store = MemoryStorage()
    async with collecting(
        None, store, is_draining=False, spool_directory=tmp_path / "spool"
    ) as plane:
        size_cap = SizeCap(store, 1 << 30)
        retention = Retention(store, Limits.of(1, 1))
        size_cap.total.rows = 5
        size_cap.total.bodies = 3
        retention.rows_purged = 7
        parts = plane.writer, retention, size_cap, plane.spool
        read = values(store_families(*parts))
        assert (read["storage_up",], read["oldest_unstored_seconds",]) == (1, 0)
        assert read["spool_capacity_bytes",] == 64 << 20
        assert (read["records_purged", "age"], read["records_purged", "size"]) == (7, 5)
        assert read["bodies_trimmed",] == 3
        assert ("oldest_record_timestamp_seconds",) not in read
        size_cap.reaches_back_us = 10**15
        assert values(store_families(*parts))["oldest_record_timestamp_seconds",] == 1e9


async def test_every_process_has_its_values(tmp_path: Path) -> None:
    """The supervisor's counts, removed places, unread rings, leaving workers."""
    async with collecting(None, MemoryStorage(), is_draining=False) as plane:
        workers = Workers({})
        places = WatchedPaths({}, {})
        left = (
            {"name": "worker 0", "pid": pid, "ready": True, "ring": "", "leaving": pid > 7}
            for pid in (7, 8, 9)
        )
        workers.update(json.dumps([*left]))
        assert {name for name in workers.process_ids() if "worker" in name} == {
            "worker 0",
            "worker 0 leaving",
            "worker 0 leaving 2",
        }
        workers.update_counts(b'{"log_lines_dropped": 2, "reloads": {"done": 2, "refused": 1}}')
        places.removed[DATA_DIR] = 4
        assert values(process_families(plane.sources, workers, places)) == {
            ("log_lines_dropped", "worker"): 0,
            ("log_lines_dropped", "supervisor"): 2,
            ("log_lines_dropped", "collector"): 0,
            ("reloads", "done"): 2,
            ("reloads", "refused"): 1,
            ("places_removed", DATA_DIR): 4,
            ("places_removed", RING_DIR): 0,
            ("places_removed", RING): 0,
            ("places_removed", STATE): 0,
            ("rings_unread",): 0,
            ("old_workers",): 2,
        }


def test_ports_have_every_reason_from_the_start() -> None:
    """By port and reason."""
    assert values(
        port_families(
            {"admin": {"displaced": 3, "head": 0}, "metrics": {"head": 1}},
            {"login": 0, "token": 2},
        )
    ) == {
        ("admin_auth_failures", "login"): 0,
        ("admin_auth_failures", "token"): 2,
        ("admin_connections_closed", "admin", "displaced"): 3,
        ("admin_connections_closed", "admin", "head"): 0,
        ("admin_connections_closed", "metrics", "head"): 1,
    }


async def test_the_index_has_sizes_once_they_are_known() -> None:
    """Its counters are there from the start, its sizes from the first look on."""
    indexing = TextIndexing(MemoryStorage())
    counted = {("text_index_records",): 0, ("text_index_errors",): 0}
    assert values(text_index_families(indexing)) == counted
    indexing.state = TextIndex(waiting=7, size_bytes=4096)
    known = {("text_index_waiting_records",): 7, ("text_index_bytes",): 4096}
    assert values(text_index_families(indexing)) == counted | known


def test_replicas_are_counted_by_state_and_told_apart_by_host() -> None:
    """One that is away has no gauges of how far it is behind."""
    replicas = (
        Replica(host="a", has_all=True),
        Replica(host="b", has_all=False, waiting=7, delay_s=61.0),
        Replica(host="c", reason="connection refused"),
        Replica(host="d", is_read_only=True),
    )
    assert values(replica_families(replicas)) == {
        **{("store_replicas", state): 1 for state in ("whole", "left_out", "away", "unknown")},
        **{
            ("store_replica_waiting", host): steps for host, steps in (("a", 0), ("b", 7), ("d", 0))
        },
        **{
            ("store_replica_delay_seconds", host): delay
            for host, delay in (("a", 0), ("b", 61), ("d", 0))
        },
        **{
            ("store_replica_whole", host): whole
            for host, whole in (("a", 1), ("b", 0), ("c", 0), ("d", 0))
        },
        **{
            ("store_replica_read_only", host): only for host, only in (("a", 0), ("b", 0), ("d", 1))
        },
    }


def test_a_store_on_one_server_has_no_replicas() -> None:
    """Their numbers are 0, and there for alerts to name."""
    states = ("whole", "left_out", "away", "unknown")
    assert values(replica_families(())) == {("store_replicas", state): 0 for state in states}


def exporter(signal: Signal) -> Exporter:
    """An export that has counted something of everything."""
    store = MemoryStorage()
    made = Exporter(
        signal, Reader(store, "sidecar-1", max_records=10), FakeSender().send, store,
        stored_records=lambda: 4, max_bytes=1 << 20, interval_s=7.0, start=Progress(0, 0),
    )  # fmt: skip
    made.counters.exported = 5
    made.counters.rejected = 1
    made.counters.missed_records = 2
    made.counters.failures = {"timeout": 3}
    return made


def test_each_signal_is_told_apart() -> None:
    """Counts, failures by reason, and how far it is behind."""
    counted = {
        "exported": 5,
        "rejected": 1,
        "missed_records": 2,
        "waiting_records": 0,
        "lag_seconds": 0,
    }
    read = values(otel_families([exporter("traces"), exporter("logs")]))
    for signal in ("traces", "logs"):
        assert read.pop(("otel_failures", signal, "timeout")) == 3
        assert {name: read.pop((f"otel_{name}", signal)) for name in counted} == counted
    assert read == {}


def test_without_an_export_there_are_none() -> None:
    """A scrape of most sidecars is not longer for it."""
    assert list(otel_families([])) == []
