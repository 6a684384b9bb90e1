"""The families of replicas."""

from api.metrics.replica_metrics import replica_families
from storage.query import Replica


def values(*replicas: Replica) -> dict[str, dict[str, float]]:
    """Each family's samples by its one label."""
    return {
        family.name.removeprefix("sidelog_store_"): {
            next(iter(sample.labels.values())): sample.value for sample in family.samples
        }
        for family in replica_families(replicas)
    }


def test_replicas_are_counted_by_state_and_told_apart_by_host() -> None:
    """One that is away says nothing of how far it is behind."""
    assert values(
        Replica(host="a", has_all=True),
        Replica(host="b", has_all=False, waiting=7, delay_s=61.0),
        Replica(host="c", reason="connection refused"),
        Replica(host="d", is_read_only=True),
    ) == {
        "replicas": {"whole": 1, "left_out": 1, "away": 1, "unknown": 1},
        "replica_waiting": {"a": 0, "b": 7, "d": 0},
        "replica_delay_seconds": {"a": 0, "b": 61, "d": 0},
        "replica_whole": {"a": 1, "b": 0, "c": 0, "d": 0},
        "replica_read_only": {"a": 0, "b": 0, "d": 1},
    }


def test_a_store_on_one_server_has_none() -> None:
    """Their number is there all the same: an alert names it."""
    assert values() == {"replicas": {"whole": 0, "left_out": 0, "away": 0, "unknown": 0}}
