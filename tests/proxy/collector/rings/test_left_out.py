"""What a rule of capture leaves out is a term of the ledger, exactly, wherever the collector is
killed.
"""

from pathlib import Path

import pytest

from proxy.settings.model import CaptureRuleSettings
from tests.support.memory_store import MemoryStorage
from tests.support.rings import INSTANCE, MortalStore, RingWorker, collecting, rows

HEALTH = [CaptureRuleSettings(query="path:/healthz", share=0)]


def record(worker: RingWorker, paths: str) -> list[bytes]:
    """Record an exchange a letter, `h` of a health check; return the ids of the others."""
    ids = [
        (worker.finish(worker.begin("/healthz" if path == "h" else "/items")), path)
        for path in paths
    ]
    return [record_id for record_id, path in ids if path != "h"]


@pytest.mark.parametrize("paths", ["h", "hhhh", "ihih", "hiih", "iihhhhi", "hhhhhhhhhi"])
async def test_what_is_left_out_is_counted_and_released(
    tmp_path: Path, worker: RingWorker, paths: str
) -> None:
    """The ring is free again, metrics have seen it, and no row is there."""
    store = MemoryStorage()
    async with collecting(tmp_path, store, rules=HEALTH) as plane:
        expected = record(worker, paths)
        source = plane.sources.attached[worker.source]
        await plane.until(lambda: source.reader.released == source.reader.head > 0)
        assert [row.id for row in await rows(store)] == expected
        ledger = plane.ledger()
        assert (ledger.received, ledger.stored, ledger.sampled, ledger.dropped) == (
            len(paths), len(expected), paths.count("h"), {},
        )  # fmt: skip
        assert len(plane.observed) == len(paths)

    worker.die()
    async with collecting(tmp_path, store, rules=HEALTH) as plane:
        ledger = await plane.until_empty()
        assert (ledger.received, ledger.sampled) == (len(paths), paths.count("h"))


async def test_a_share_is_counted_by_both_sides(tmp_path: Path, worker: RingWorker) -> None:
    """What is stored and what is left out add up, whatever the weights of what is stored."""
    store = MemoryStorage()

    share = CaptureRuleSettings(query="path:/items", share=0.25)
    async with collecting(tmp_path, store, rules=[share]) as plane:
        record(worker, "i" * 200)
        source = plane.sources.attached[worker.source]
        await plane.until(lambda: source.reader.released == source.reader.head > 0)
        ledger = plane.ledger()
        stored = await rows(store)

    assert 0 < len(stored) < 200
    assert {row.weight for row in stored} == {4}
    assert (ledger.received, ledger.stored, ledger.sampled) == (200, len(stored), 200 - len(stored))
    assert len(plane.observed) == 200


@pytest.mark.parametrize("dies_at", range(1, 9))
@pytest.mark.parametrize("has_stored_it", [False, True])
async def test_a_kill_at_any_commit_counts_each_once(
    tmp_path: Path, worker: RingWorker, dies_at: int, *, has_stored_it: bool
) -> None:
    """Before or behind the commit: the next collector goes on where the store is."""
    paths = "hhihihhhiihhhhhhih" * 2
    store = MortalStore()
    store.dies_at = dies_at
    store.has_stored_it = has_stored_it
    expected = record(worker, paths)
    async with collecting(tmp_path, store, rules=HEALTH) as plane:
        await plane.until(lambda: store.has_died.is_set() or plane.ledger().waiting == 0)
    worker.die()
    store.dies_at = None
    async with collecting(tmp_path, store, rules=HEALTH) as plane:
        ledger = await plane.until_empty()
    assert (ledger.received, ledger.stored, ledger.sampled) == (
        len(paths),
        len(expected),
        paths.count("h"),
    )
    assert [row.id for row in await rows(store)] == expected
    assert sum(position.stored for position in (await store.positions(INSTANCE)).values()) == len(
        expected
    )
