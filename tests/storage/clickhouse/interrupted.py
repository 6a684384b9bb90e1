"""Writers that are interrupted at any moment, and what has to be true behind them."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from storage.clickhouse.writes.batches import BatchStore
from storage.errors import StorageUnavailable
from storage.record import Batch, Entry, Position, Record
from tests.storage.samples import SOURCE, make_payload, make_record

NAMES: Final = "abcd"
Kept = dict[str, list[bytes]]
"""Sidecar → ids of its records, in its order."""


def batch(name: str, *records: Record, offset: int = 1) -> Batch:
    """A batch of one sidecar."""
    return Batch(name, [Entry(record, make_payload()) for record in records], {SOURCE: Position(offset=offset)})


async def write_interrupted(
    writer: Callable[[str], Awaitable[BatchStore]], batches: int, limits_s: Sequence[float], pause_s: float
) -> Kept:
    """Have four sidecars write, each giving up some of its commits and trying the same again.

    Args:
        writer: Opens one that has committed a record.
        batches: Of each.
        limits_s: After which an attempt is given up, by chance.
        pause_s: Before the next.
    """
    chance = random.Random(17)
    kept: Kept = {name: [] for name in NAMES}

    async def write(name: str) -> None:
        store = await writer(name)
        for number in range(batches):
            own = batch(name, *(make_record() for _ in range(chance.choice((1, 3, 40)))), offset=number + 2)
            while True:
                try:
                    async with asyncio.timeout(chance.choice(limits_s)):
                        await store.store(own)
                    break
                except (TimeoutError, StorageUnavailable):
                    await asyncio.sleep(pause_s)
            kept[name] += (entry.record.id for entry in own.entries)

    async with asyncio.TaskGroup() as writing:
        for name in NAMES:
            writing.create_task(write(name), name=name)
    return kept


async def check_kept(found: list[tuple[int, bytes]], kept: Kept, heir: BatchStore, batches: int) -> None:
    """Every record is there once, in its sidecar's order, and every position is that of what is there."""
    assert [seq for seq, _ in found] == list(range(1, len(found) + 1))
    places = {record_id: seq for seq, record_id in found}
    assert len(places) == len(found) == len(kept) + sum(map(len, kept.values()))
    for name, ids in kept.items():
        assert [places[record_id] for record_id in ids] == sorted(places[record_id] for record_id in ids)
        assert (await heir.positions(name))[SOURCE].offset == batches + 1
