"""Metric families of what is made behind the commits: the index of words, how far it has come and how large; sums."""

from collections.abc import Iterator

from prometheus_client import Metric

from api.metrics.metrics import counters, gauge
from storage.writer.text_indexing import TextIndexing


def text_index_families(indexing: TextIndexing) -> Iterator[Metric]:
    indexed = "Records whose words were put into the index of words."
    yield counters("text_index_records", indexed, [], {(): indexing.records})
    summed = "Records added up behind their commits, for figures: only where sums do not come with them (ClickHouse)."
    yield counters("summed_records", summed, [], {(): indexing.summed})
    failed = "Steps in making the index of words that failed and are made again."
    yield counters("text_index_errors", failed, [], {(): indexing.errors})
    if indexing.state is not None:
        waiting = "Records that are not in the index of words yet: searches look at each of them."
        yield gauge("text_index_waiting_records", waiting, indexing.state.waiting)
        yield gauge("text_index_bytes", "Size of the index of words.", indexing.state.size_bytes)
