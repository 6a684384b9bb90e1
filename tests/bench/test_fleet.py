"""A simulated fleet counts what it has stored."""

import argparse
from pathlib import Path

from bench import fleet
from bench.fleet import Sidecar, simulate
from storage.base import Storage
from storage.errors import StorageUnavailable
from storage.record import Batch
from storage.writer.attempts import CommitTimeout
from tests.support.memory_store import MemoryStorage


class Losing(MemoryStorage):
    """Is away at first, and then loses a batch that it has acknowledged."""

    def __init__(self, losses: int) -> None:
        super().__init__()
        self.losses = losses
        self.is_away = True

    async def commit(self, batch: Batch) -> int:
        """Refuse, then lose, then keep."""
        if self.is_away:
            self.is_away = False
            raise StorageUnavailable("away")
        if self.losses:
            self.losses -= 1
            return 0
        return await super().commit(batch)


OPTIONS = argparse.Namespace(url="", sidecars=3, rate=100.0, seconds=0.3, age=0.05, payloads=True)


async def run(store: Storage) -> dict[str, object]:
    """Simulate over one store."""

    async def opened(options: argparse.Namespace, directory: Path, number: int) -> Sidecar:
        return Sidecar(number, store, CommitTimeout())

    patched, fleet._opened = fleet._opened, opened
    try:
        return await simulate(OPTIONS)
    finally:
        fleet._opened = patched


async def test_all_that_is_made_is_counted() -> None:
    """Three sidecars of thirty records; one commit was refused and came again."""
    found = await run(Losing(0))
    assert (found["stored"], found["counted"]) == (90, 90)
    assert (found["unavailable"], found["is_right"]) == (1, True)


async def test_a_loss_is_noticed() -> None:
    """Whatever the store has acknowledged."""
    found = await run(Losing(1))
    assert not found["is_right"]
