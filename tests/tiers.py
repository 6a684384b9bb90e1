"""Which files `make test` runs, of those that `make test-all` runs: what protects a change.

Rule: a file is in one tier. Folders and files of LATER are left to `make test-all`, and of
`tests/e2e` all files but those of FIRST; they are not even imported. Of the contract, `make test`
asks SQLite, and not what writes megabytes, and of all files not the tests of COSTLY. A case that
has a marker (`long`, `clickhouse`, `helm`, `realworld`) is run by the target of that name only.
"""

from pathlib import Path
from typing import Final

import pytest

from tests.contract.backends import backend_of
from tests.contract.tiers import TALKATIVE

TESTS: Final = Path(__file__).parent

LATER: Final = frozenset({
    "api/openapi", "bench", "deploy", "fuzz", "realworld", "storage/clickhouse", "storage/postgres", "ui",
    "api/test_isolation.py", "contract/test_storage_text_index_kills.py", "examples",
    "storage/sqlite/test_trim.py", "test_linear_patterns.py",
})  # fmt: skip
"""Folders that start browsers, servers or programs of others, or ask at random; files that take
more than five seconds of CPU, more than a tenth of all of `make test` together.
"""

COSTLY: Final = frozenset(
    {
        "test_a_kill_leaves_whole_batches",
        "test_all_characters_that_fold_to_ascii_are_known",
        "test_choices_full_of_secrets_are_linear",
        "test_clients_read_events_alike",
        "test_cut_and_client_gone",
        "test_fields_of_bodies_are_found_whole",
        "test_halves_at_the_edges_of_windows",
        "test_hostile_answers_make_a_record",
        "test_hostile_repetition_costs_no_more_than_its_length",
        "test_hostile_text_is_linear",
        "test_it_can_stand_in_a_pipe",
        "test_it_is_found_across_the_frames_of_a_stream",
        "test_it_is_found_in_every_encoding",
        "test_no_half_secret_survives_at_the_edges_of_windows",
        "test_one_call_reads_a_bounded_number_of_frames",
        "test_overlapping_reads_of_our_own_leave_gaps_for_the_journal",
        "test_secrets_within_a_run_are_found",
        "test_sums_of_a_search_are_those_of_its_rows",
        "test_ten_thousand_pipelined_requests",
        "test_the_apis_answer_alike_over_each_store",
        "test_timeouts",
        "test_what_waits_is_bounded_in_bytes",
    }
)
"""Tests of other files that take more than a second and a half of CPU, as they ask for a lot at
once.
"""

LONG: Final = frozenset({
    "test_every_place_where_a_tail_may_begin",
    "test_texts_that_clients_choose_do_not_pass_the_cap",
})  # fmt: skip
"""Tests that try every place, or write until a store is full many times over: `make long` is soon
enough.
"""

FIRST: Final = frozenset({"test_commands.py", "test_kill.py", "test_serve.py"})
"""Files of `tests/e2e`: whole processes that serve, are asked, are killed, and stop."""


def is_left_out(path: Path) -> bool:
    """Whether `make test` does not look into a file or folder."""
    if not path.is_relative_to(TESTS):
        return False

    place = path.relative_to(TESTS)
    if place.parent.name == "e2e" and place.name.startswith("test_"):
        return place.name not in FIRST
    return place.as_posix() in LATER


def mark(items: list[pytest.Item]) -> None:
    """Mark what is left to `make long`."""
    for item in items:
        if _name(item) in LONG:
            item.add_marker(pytest.mark.long)


def select(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take away what `make test` does not run of the files that it looks into."""
    left_out = [item for item in items if not _is_first(item)]
    items[:] = [item for item in items if _is_first(item)]
    config.hook.pytest_deselected(items=left_out)


def _is_first(item: pytest.Item) -> bool:
    if _name(item) in COSTLY:
        return False

    backend = backend_of(item)
    return backend is None or (backend.name == "sqlite" and _name(item) not in TALKATIVE)


def _name(item: pytest.Item) -> str:
    return item.name.partition("[")[0]
