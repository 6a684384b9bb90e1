"""A writer to be killed: `python -m tests.storage.clickhouse.endless_writer URL SEED NAME` goes on
where NAME left off.

Record n has the path `/n`, and heads and bodies; the position of its source says how many there
are. It prints a line when it begins. Some of its commits it gives up after a moment, and comes with
the same records again.
"""

import asyncio
import random
import sys
import time
from urllib.parse import urlsplit

from storage.clickhouse.store import ClickhouseStorage
from storage.clickhouse.wire.address import Address
from storage.errors import StorageUnavailable
from storage.record import Batch, Entry, Position, new_id
from tests.storage.samples import SOURCE, make_payload, make_record

_PAUSE_S = 0.02
_LIMITS_S = (0.02, 0.05, 30.0, 30.0, 30.0, 30.0)


async def begin(url: str, instance: str) -> tuple[ClickhouseStorage, int]:
    """Open a store, and read how many records there are; one that is away is asked again."""
    while True:
        try:
            store = await ClickhouseStorage.open(Address.of(urlsplit(url)))
            try:
                return store, (await store.positions(instance)).get(SOURCE, Position()).offset
            except StorageUnavailable:
                await store.close()
        except StorageUnavailable:
            pass

        await asyncio.sleep(_PAUSE_S)


async def write(url: str, seed: int, instance: str) -> None:
    """Store batches of all sizes until killed; a server that is away is asked again."""
    chance = random.Random(seed)
    store, number = await begin(url, instance)
    sys.stdout.write("begun\n")
    sys.stdout.flush()

    while True:
        entries = []
        for _ in range(chance.choice((1, 10, 60))):
            record_id = new_id(time.time_ns(), chance.getrandbits(42), number & 0xFFFFF)
            entries.append(
                Entry(
                    make_record(id=record_id, path=f"/{number}", instance=instance),
                    make_payload(number),
                )
            )
            number += 1

        batch = Batch(
            instance, entries, {SOURCE: Position(offset=number, taken=number, stored=number)}
        )
        while True:
            try:
                async with asyncio.timeout(chance.choice(_LIMITS_S)):
                    await store.commit(batch)
                break
            except (StorageUnavailable, TimeoutError):
                await asyncio.sleep(_PAUSE_S)

        await asyncio.sleep(chance.random() * 0.1)


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
