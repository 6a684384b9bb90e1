"""The stable prefix: nothing comes at or below its end."""

import asyncio

from storage.clickhouse.store import ClickhouseStorage
from storage.record import Batch, Entry, Record
from tests.storage.samples import make_record
from tests.support.clickhouse import Server

DELAY_MS = 400
WRITERS = 12


async def test_a_reader_up_to_the_end_misses_nothing(engine: Server) -> None:
    """Many write at the same time, some late; a reader of "greater than n, up to the end" sees each
    in order.
    """
    address = engine.address(engine.database())
    records: list[Record] = []
    seen: list[int] = []

    async def write(name: str) -> None:
        async with await ClickhouseStorage.open(address) as store:
            for _ in range(5):
                record = make_record(instance=name)
                await store.commit(Batch(name, [Entry(record)]))
                records.append(record)

    async with await ClickhouseStorage.open(address, order_delay_ms=DELAY_MS) as reader:
        assert await reader.last_seq() == 0
        async with asyncio.TaskGroup() as tasks:
            for number in range(WRITERS):
                tasks.create_task(write(f"w{number}"), name=f"w{number}")
            after = 0
            while len(seen) < 5 * WRITERS:
                end = await reader.last_seq()
                sql = (
                    "SELECT seq FROM records WHERE kind = 0 AND seq > $1 AND seq <= $2 ORDER BY seq"
                )
                seen += [seq for (seq,) in await reader._link.fetch(sql, (after, end))]
                after = max(after, end)
                await asyncio.sleep(0.05)

    assert seen == sorted(record.seq for record in records)
