"""Which tests of the contract run over ClickHouse when: all with `make test-clickhouse`, some with `make test`.

Of tests that differ in a parameter only, the current engine and two replicas are asked a sample, and of those that ask
hundreds of times nothing: the others are `wide`. `make test` asks Debian's server such a sample of a few files.
"""

from collections import Counter
from typing import Final

import pytest

from tests.contract.backends import backend_of

SAMPLE: Final = frozenset({"test_storage.py"})
"""Files of which `make test` asks Debian's server a sample, too."""
SAMPLED: Final = 6
"""Every which of a test's parameters is in a sample."""
CROWDED: Final = "test_a_reader_of_greater_than_misses_nothing"
"""In no sample: its readers keep the server busy for 13 s, where the others take a third of one."""

CLUSTERED: Final = frozenset({
    "test_storage.py", "test_storage_calls.py", "test_storage_erase.py", "test_storage_jobs.py",
    "test_storage_keys.py", "test_storage_meta.py", "test_storage_retention.py", "test_storage_views.py",
    "test_storage_writers.py",
})  # fmt: skip
"""Files of which a sample is asked of two replicas: a commit to them takes some 0.2 s."""

TALKATIVE: Final = frozenset({
    "test_the_size_never_passes_the_cap", "test_filters_are_literal", "test_pages_follow_ids_offset_and_cursor",
    "test_every_answer_is_that_of_the_records_left", "test_a_floor_hides_at_once_and_deletion_changes_nothing",
    "test_a_search_finds_what_it_means", "test_not_finds_all_others", "test_fields_restrict_together",
    "test_cursors_lead_through_everything", "test_a_scope_has_so_many",
    "test_calls_of_tools_take_no_more_than_is_left_of_them",
})  # fmt: skip
"""Tests of 20 MB, or of hundreds of statements, each a round trip: the current engine's front answers them in turn."""


def mark(items: list[pytest.Item]) -> None:
    """Mark the tests over ClickHouse."""
    asked: Counter[tuple[str, str]] = Counter()
    for item in items:
        backend = backend_of(item)
        if backend is None or backend.kind != "clickhouse":
            continue
        test = item.nodeid.partition("[")[0]
        name = test.rpartition("::")[2]
        is_sampled = not asked[backend.name, test] % SAMPLED
        asked[backend.name, test] += 1
        is_debian = backend.name == "clickhouse"
        if not (is_debian and is_sampled and item.path.name in SAMPLE and name != CROWDED):
            item.add_marker(pytest.mark.clickhouse)
        is_elsewhere = backend.name in ("clickhouse-cluster", "clickhouse-shards") and item.path.name not in CLUSTERED
        if not is_debian and (not is_sampled or name in TALKATIVE or is_elsewhere):
            item.add_marker(pytest.mark.wide)
