"""What was seen of the replicas stays until something else is seen."""

import msgspec

from proxy.collector.watch.status import ReplicaWatch
from storage.errors import StorageUnavailable
from storage.query import Replica
from tests.support.memory_store import MemoryStorage


class Replicated(MemoryStorage):
    """A store that says it has replicas."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: list[Replica] | None = None

    async def replicas(self) -> list[Replica]:
        if self.answer is None:
            raise StorageUnavailable("it has not answered yet")
        return self.answer


async def test_a_store_that_is_not_open_yet_changes_nothing() -> None:
    """Before, there are none; what was seen is shown as plain values."""
    store = Replicated()
    watch = ReplicaWatch(store)
    await watch.look()
    assert watch.describe() == []
    store.answer = [
        Replica(
            host="a:8123", name="first", version="18.16.1", has_all=False, waiting=3, delay_s=2.0
        )
    ]
    await watch.look()
    store.answer = None
    await watch.look()
    assert msgspec.to_builtins(watch.describe()) == [
        {
            "host": "a:8123", "name": "first", "version": "18.16.1", "state": "left_out", "reason": None,
            "read_only": False, "waiting": 3, "delay_s": 2.0,
        }
    ]  # fmt: skip
