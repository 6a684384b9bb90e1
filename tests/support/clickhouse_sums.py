"""A ClickHouse store that makes sums of a few records with each commit: figures come from sums and from rows."""

from typing import Any, Final

from storage.clickhouse.store import ClickhouseStorage
from storage.clickhouse.upkeep.sums import Summing
from storage.record import Batch

SUMMED_ROWS: Final = 5


class SummingStorage(ClickhouseStorage):
    """Sums come as soon as they can, of one grid a commit."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._summing = Summing(self._link, args[1], options["grid_rows"], look_s=0.0)

    async def commit(self, batch: Batch) -> int:
        """Commit, and make sums."""
        last_seq = await super().commit(batch)
        await self.add_sums()
        return last_seq
