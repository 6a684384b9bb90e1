"""What goes wrong on a server: said in a line, nothing lost, and the same batch is stored when it
is over.
"""

from dataclasses import replace

import pytest

from storage.clickhouse.engine.server import Server as Features
from storage.clickhouse.store import ClickhouseStorage
from storage.clickhouse.wire.link import Link
from storage.errors import StorageUnavailable
from storage.record import Batch, Entry, Position
from tests.storage.clickhouse.conftest import DELAY_MS
from tests.storage.clickhouse.writes.test_slots import make_store, store_at_last
from tests.storage.samples import SOURCE, make_payload, make_record
from tests.support.clickhouse import Server

TROUBLES = [
    ("ALTER TABLE records DROP COLUMN rest", "ALTER TABLE records ADD COLUMN rest String", "rest"),
    ("RENAME TABLE records TO elsewhere", "RENAME TABLE elsewhere TO records", "records"),
]


@pytest.mark.parametrize(
    ("breaks", "mends", "named"), TROUBLES, ids=[named for _, _, named in TROUBLES]
)
async def test_a_table_that_was_altered(
    link: Link, features: Features, breaks: str, mends: str, named: str
) -> None:
    """The batch is refused for now, in words that name what is missing; mended, it is stored once."""
    store = make_store(link, features)
    await store.store(
        Batch("a", [Entry(make_record(), make_payload())], {SOURCE: Position(offset=1)})
    )
    batch = Batch(
        "a", [Entry(make_record(project="new"), make_payload())], {SOURCE: Position(offset=2)}
    )
    await link.execute(breaks, limit_s=30)
    for _ in range(3):
        with pytest.raises(StorageUnavailable, match=named):
            await store.store(batch)
    await link.execute(mends, limit_s=30)
    await store_at_last(store, batch)
    rows = await link.fetch("SELECT seq, id FROM records WHERE kind < 2 ORDER BY seq", limit_s=30)
    assert len(rows) == 2
    assert tuple(rows[1]) == (batch.entries[0].record.seq, batch.entries[0].record.id)
    assert (await store.positions("a"))[SOURCE].offset == 2


async def test_too_many_parts(current: Server) -> None:
    """A server that does not come along with merging refuses inserts for a while."""
    address = current.address(current.database())
    batch = Batch("a", [Entry(make_record())])
    async with await ClickhouseStorage.open(address, order_delay_ms=DELAY_MS) as store:
        await store.commit(Batch("a", [Entry(make_record())]))
        current.ask(f"SYSTEM STOP MERGES {address.database}.records")
        current.ask(
            f"ALTER TABLE {address.database}.records MODIFY SETTING parts_to_throw_insert = 1"
        )
        for _ in range(2):
            with pytest.raises(StorageUnavailable, match="Too many parts"):
                await store.commit(batch)
        current.ask(f"ALTER TABLE {address.database}.records RESET SETTING parts_to_throw_insert")
        current.ask(f"SYSTEM START MERGES {address.database}.records")
        await store.commit(batch)
        assert (await store.info()).rows == 2


async def test_a_user_that_may_only_read(engine: Server) -> None:
    """Debian's server knows users: one that may not write is refused, with the reason."""
    if engine.engine != "debian":
        pytest.skip("the front of chdb knows no users")
    address = engine.address(engine.database())
    async with await ClickhouseStorage.open(address, order_delay_ms=DELAY_MS):
        pass
    async with await ClickhouseStorage.open(replace(address, user="guest")) as store:
        with pytest.raises(StorageUnavailable, match="readonly"):
            await store.commit(Batch("a", [Entry(make_record())]))
