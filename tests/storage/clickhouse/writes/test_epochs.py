"""An epoch is begun whatever lies in its place."""

import pytest

from storage.clickhouse.link import Link
from storage.clickhouse.store import ClickhouseStorage
from storage.record import Batch, Entry
from tests.storage.samples import make_record
from tests.support.clickhouse import Server


async def test_a_table_that_was_half_made_is_passed_over(link: Link, engine: Server) -> None:
    """A server whose disk was full leaves a file behind, and refuses the name from then on; commits go on."""
    metadata = engine.directory / "data" / "metadata" / link.address.database
    if not metadata.is_dir():
        pytest.skip("this engine keeps its tables elsewhere")
    async with await ClickhouseStorage.open(link.address) as store:
        for number in (1, 2):
            (metadata / f"epoch_{number}.sql.tmp").write_bytes(b"")
        for seq in (1, 2, 3):
            assert await store.commit(Batch("sidecar-1", [Entry(make_record())])) == seq
        own = "SELECT name FROM system.tables WHERE database = currentDatabase() AND name = 'epoch_3'"
        assert await link.fetch(own, limit_s=30) == [("epoch_3",)]
