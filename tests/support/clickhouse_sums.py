"""A ClickHouse store that makes sums and segments of a few records: answers come from them and from rows."""

from typing import Any, Final

from storage.clickhouse.store import ClickhouseStorage
from storage.clickhouse.upkeep.indexing import Indexing
from storage.clickhouse.upkeep.sums import Summing
from storage.record import Batch

SUMMED_ROWS: Final = 5
SEGMENT_ROWS: Final = 28
CELL_ROWS: Final = 16


class SummingStorage(ClickhouseStorage):
    """Sums come as soon as they can, of one grid a commit; segments when they are asked for, of two dozen records."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._summing = Summing(self._link, args[1], options["grid_rows"], look_s=0.0)
        self._indexing = Indexing(segment_rows=SEGMENT_ROWS, cell_rows=CELL_ROWS, look_s=0.0)

    async def commit(self, batch: Batch) -> int:
        """Commit, and make sums."""
        last_seq = await super().commit(batch)
        await self.add_sums()
        return last_seq
