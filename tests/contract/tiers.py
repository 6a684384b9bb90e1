"""Which cases of the contract run where: over SQLite, the backend of every start, all with `make
test`.

Strategy: of a test with many cases over another backend `make test-all` has every fifth, five being
no width of what the cases are made of; the others are left to `make long`, as are tests of hundreds
of statements where each is a round trip, and all cases of the variants. Over ClickHouse
`make test-all` asks Debian's server alone, and few files; the rest is for `make test-clickhouse`.
"""

from collections import defaultdict
from typing import Final

import pytest

from tests.contract.backends import backend_of

VARIANTS: Final = frozenset({"model", "sqlite-sparse"})
"""The model that the others are judged by, and SQLite with gaps between its numbers: both change
less often than what they stand beside.
"""

ONE_IN: Final = 5
MANY: Final = 5
"""Cases of one test over one backend, of which a sample is enough; over ClickHouse it is of any
number.
"""

BRIEF: Final = frozenset({"test_storage.py"})
"""Files of which `make test-all` asks Debian's ClickHouse."""
CROWDED: Final = "test_a_reader_of_greater_than_misses_nothing"
"""Not there: its readers keep the server busy for 13 s, where the others take a third of one."""
CLUSTERED: Final = frozenset({
    "test_storage.py", "test_storage_calls.py", "test_storage_erase.py", "test_storage_jobs.py",
    "test_storage_keys.py", "test_storage_meta.py", "test_storage_retention.py", "test_storage_views.py",
    "test_storage_writers.py",
})  # fmt: skip
"""Files that two replicas are asked: a commit to them takes some 0.2 s."""
TALKATIVE: Final = frozenset({
    "test_the_size_never_passes_the_cap", "test_filters_are_literal", "test_pages_follow_ids_offset_and_cursor",
    "test_every_answer_is_that_of_the_records_left", "test_a_floor_hides_at_once_and_deletion_changes_nothing",
    "test_a_search_finds_what_it_means", "test_not_finds_all_others", "test_fields_restrict_together",
    "test_cursors_lead_through_everything", "test_a_scope_has_so_many",
    "test_calls_of_tools_take_no_more_than_is_left_of_them", "test_searches_find_the_same_before_during_and_after",
    "test_pages_of_searches_join_across_slices_of_some_cells", "test_a_large_batch_brings_its_cells",
    "test_segments_have_more_cells_where_these_have_few_words", "test_small_batches_between_large_ones_are_read",
    "test_a_cap_that_was_lowered_is_reached_beside_the_batches", "test_space_is_used_again",
})  # fmt: skip
"""Tests of 20 MB, or of hundreds of statements."""


def mark(items: list[pytest.Item]) -> None:
    """Mark what is not for `make test-all`."""
    cases: defaultdict[tuple[str, str], list[pytest.Item]] = defaultdict(list)
    for item in items:
        backend = backend_of(item)
        if backend is not None and backend.name != "sqlite":
            cases[backend.name, item.nodeid.partition("[")[0]].append(item)

    for (name, test), of_one_test in cases.items():
        for number, item in enumerate(of_one_test):
            is_sample = number % ONE_IN == 0
            if name.startswith("clickhouse"):
                _mark_clickhouse(item, name, test.rpartition("::")[2], is_sample=is_sample)
            elif (
                name in VARIANTS
                or (len(of_one_test) >= MANY and not is_sample)
                or (name == "postgres" and test.rpartition("::")[2] in TALKATIVE)
            ):
                item.add_marker(pytest.mark.long)


def _mark_clickhouse(item: pytest.Item, backend: str, name: str, *, is_sample: bool) -> None:
    is_debian = backend == "clickhouse"
    if not (is_debian and is_sample and item.path.name in BRIEF and name != CROWDED):
        item.add_marker(pytest.mark.clickhouse)
    is_elsewhere = (
        backend in ("clickhouse-cluster", "clickhouse-shards") and item.path.name not in CLUSTERED
    )
    if not is_debian and (not is_sample or name in TALKATIVE or is_elsewhere):
        item.add_marker(pytest.mark.long)
