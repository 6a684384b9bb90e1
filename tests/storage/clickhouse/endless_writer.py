"""A writer to be killed: `python -m tests.storage.clickhouse.endless_writer URL SEED NAME` goes on where NAME left off.

Record n has the path `/n`, and heads and bodies; the position of its source says how many there are. It prints a line
when it begins.
"""

import asyncio
import random
import sys
import time
from urllib.parse import urlsplit

from storage.clickhouse.address import Address
from storage.clickhouse.cluster.opening import prepare
from storage.clickhouse.cluster.replicas import ClusterLink
from storage.clickhouse.features import read_features
from storage.clickhouse.link import Link
from storage.clickhouse.tables import create
from storage.clickhouse.writes.batches import BatchStore
from storage.errors import StorageUnavailable
from storage.record import Batch, Entry, Position, new_id
from tests.storage.samples import SOURCE, make_payload, make_record


async def begin(address: Address, instance: str) -> tuple[BatchStore, dict[bytes, Position]]:
    """Open a store; one of a cluster may be away for a while."""
    if not address.cluster:
        link = Link(address)
        store = BatchStore(link, await create(link))
        return store, await store.positions(instance)
    while True:
        own = ClusterLink(address)
        try:
            await prepare(own)
            store = BatchStore(own, await read_features(own))
            return store, await store.positions(instance)
        except StorageUnavailable:
            await own.close()
            await asyncio.sleep(0.1)


async def write(url: str, seed: int, instance: str) -> None:
    """Store batches of all sizes until killed; a server that is away is asked again."""
    chance = random.Random(seed)
    store, positions = await begin(Address.of(urlsplit(url)), instance)
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    number = positions.get(SOURCE, Position()).offset
    while True:
        entries = []
        for _ in range(chance.choice((1, 10, 200))):
            record_id = new_id(time.time_ns(), chance.getrandbits(42), number & 0xFFFFF)
            entries.append(Entry(make_record(id=record_id, path=f"/{number}", instance=instance), make_payload(number)))
            number += 1
        batch = Batch(instance, entries, {SOURCE: Position(offset=number, taken=number, stored=number)})
        while True:
            try:
                await store.store(batch)
                break
            except StorageUnavailable:
                await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
