"""What goes wrong on a server: told in a line, nothing lost, and the same batch is stored when it is over."""

from dataclasses import replace

import pytest

from storage.clickhouse.link import Link
from storage.clickhouse.tables import create
from storage.clickhouse.writes.batches import BatchStore
from storage.errors import StorageUnavailable
from storage.record import Batch, Entry, Position
from tests.storage.samples import SOURCE, make_payload, make_record
from tests.support.clickhouse import Server

LIVE = "attempt IN (SELECT attempt FROM commits)"
TROUBLES = [
    ("ALTER TABLE heads DROP COLUMN timeline", "ALTER TABLE heads ADD COLUMN timeline Array(UInt8)", "timeline"),
    ("ALTER TABLE records DROP COLUMN marks", "ALTER TABLE records ADD COLUMN marks Nullable(String)", "marks"),
    ("RENAME TABLE bodies TO elsewhere", "RENAME TABLE elsewhere TO bodies", "bodies"),
    ("RENAME TABLE commits TO elsewhere", "RENAME TABLE elsewhere TO commits", "commits"),
    ("RENAME TABLE dictionary TO elsewhere", "RENAME TABLE elsewhere TO dictionary", "dictionary"),
]


@pytest.mark.parametrize(("breaks", "mends", "named"), TROUBLES, ids=[named for _, _, named in TROUBLES])
async def test_a_table_that_somebody_altered(link: Link, breaks: str, mends: str, named: str) -> None:
    """The batch is refused for now, in words that name what is missing; mended, it is stored once."""
    store = BatchStore(link, await create(link))
    await store.store(Batch("a", [Entry(make_record(), make_payload())], {SOURCE: Position(offset=1)}))
    batch = Batch("a", [Entry(make_record(project="new"), make_payload())], {SOURCE: Position(offset=2)})
    await link.execute(breaks, limit_s=30)
    for _ in range(3):
        with pytest.raises(StorageUnavailable, match=named):
            await store.store(batch)
    await link.execute(mends, limit_s=30)
    assert await store.store(batch) == 2
    rows = await link.fetch(f"SELECT seq, id FROM records WHERE {LIVE} ORDER BY seq", limit_s=30)
    assert [seq for seq, _ in rows] == [1, 2]
    assert rows[1][1] == batch.entries[0].record.id
    assert await link.fetch(f"SELECT count() FROM heads WHERE {LIVE}", limit_s=30) == [(2,)]
    assert (await store.positions("a"))[SOURCE].offset == 2


async def test_a_user_that_may_only_read(engine: Server) -> None:
    """Debian's server knows users: one that may not write is told so."""
    if engine.engine != "debian":
        pytest.skip("the front of chdb knows no users")
    database = engine.database()
    owner = Link(engine.address(database))
    reader = Link(replace(engine.address(database), user="guest"))
    try:
        features = await create(owner)
        with pytest.raises(StorageUnavailable, match="readonly"):
            await BatchStore(reader, features).store(Batch("a", [Entry(make_record())]))
    finally:
        await owner.close()
        await reader.close()
