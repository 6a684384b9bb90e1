"""Metric families of the copies of the store, where it has some on several servers (ClickHouse with `cluster=`)."""

from collections import Counter
from collections.abc import Iterator, Sequence

from prometheus_client import Metric

from api.metrics.metrics import gauges
from storage.query import REPLICA_STATES, Replica


def replica_families(replicas: Sequence[Replica]) -> Iterator[Metric]:
    """Write how many are in which state, always, and of each one what it says of itself."""
    states = Counter(replica.state for replica in replicas)
    counted = "Replicas of the store: whole, left_out until they have caught up, away, unknown without a coordinator."
    yield gauges("store_replicas", counted, "state", {state: states[state] for state in REPLICA_STATES})
    if not replicas:
        return
    waiting = {replica.host: replica.waiting for replica in replicas if not replica.reason}
    yield gauges(
        "store_replica_waiting", "Steps a replica has still to take to be as the others are.", "replica", waiting
    )
    delays = {replica.host: replica.delay_s for replica in replicas if not replica.reason}
    yield gauges("store_replica_delay_seconds", "How long what a replica lacks has been there.", "replica", delays)
    whole = {replica.host: int(replica.state == "whole") for replica in replicas}
    yield gauges("store_replica_whole", "Whether a replica has everything that is committed.", "replica", whole)
    read_only = {replica.host: int(replica.is_read_only) for replica in replicas if not replica.reason}
    yield gauges("store_replica_read_only", "Whether a replica has no coordinator.", "replica", read_only)
