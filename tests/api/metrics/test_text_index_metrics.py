"""Metric families of the index of words."""

from api.metrics.text_index_metrics import text_index_families
from storage.purge import TextIndex
from storage.writer.text_indexing import TextIndexing
from tests.support.memory_store import MemoryStorage


async def test_sizes_are_told_once_they_are_known() -> None:
    """Counts from the start, how far it has come and how large it is from the first look on."""
    async with MemoryStorage() as store:
        indexing = TextIndexing(store)
        assert {family.name for family in text_index_families(indexing)} == {
            "sidelog_text_index_records",
            "sidelog_summed_records",
            "sidelog_text_index_errors",
        }
        indexing.state = TextIndex(waiting=7, size_bytes=4096)
        indexing.records, indexing.summed, indexing.errors = 12, 5, 3
        values = {family.name: family.samples[0].value for family in text_index_families(indexing)}
        assert values == {
            "sidelog_text_index_records": 12,
            "sidelog_summed_records": 5,
            "sidelog_text_index_errors": 3,
            "sidelog_text_index_waiting_records": 7,
            "sidelog_text_index_bytes": 4096,
        }
