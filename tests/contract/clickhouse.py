"""Which tests of the contract run over ClickHouse when: all with `make test-clickhouse`, some with `make test`."""

from typing import Final

import pytest

from tests.contract.backends import Backend

SAMPLE: Final = frozenset({"test_storage.py", "test_storage_by_id.py"})
"""Files that `make test` runs over Debian's server, too."""
_WRITES: Final = "payloads, tool calls and jobs are not written yet"
_RETENTION: Final = "retention and erasure are being built"
MISSING: Final[dict[str, str]] = {
    "test_a_batch_is_visible_as_a_whole": _WRITES,
    "test_a_record_changed_after_the_commit_is_not_changed_in_the_store": _WRITES,
    "test_a_search_finds_what_it_means": _WRITES,
    "test_erased_calls_are_taken_off": _RETENTION,
    "test_not_finds_all_others": _WRITES,
    "test_payloads_of_every_size_are_kept": _WRITES,
    "test_payloads_of_unknown_rows_are_left_out": _WRITES,
    "test_purged_calls_are_not_counted": _RETENTION,
    "test_the_purge_floor_hides_what_is_older": _RETENTION,
    "test_tools_and_text": _WRITES,
    "test_top_groups_by_what_heads_and_bodies_hold": _WRITES,
    "test_what_retention_and_erasure_took_is_not_counted": _RETENTION,
}
"""What ClickHouse does not do yet: a test, its backend left out → why. To be emptied."""
NOT_RUN: Final[dict[str, str]] = {
    "test_storage_cap.py": _RETENTION,
    "test_storage_erase.py": _RETENTION,
    "test_storage_jobs.py": _WRITES,
    "test_storage_read_only.py": "a store cannot be opened to be read only yet",
    "test_storage_repeated_bodies.py": _WRITES,
    "test_storage_retention.py": _RETENTION,
    "test_storage_tools.py": _WRITES,
    "test_storage_trim.py": _RETENTION,
    "test_storage_writers.py": _WRITES,
    "test_hostile.py": _WRITES,
}
"""The same of whole files, which are not run. To be emptied."""


def mark(items: list[pytest.Item]) -> None:
    """Mark the tests over ClickHouse."""
    for item in items:
        backend = _backend_of(item)
        if backend is None or backend.kind != "clickhouse":
            continue
        if item.path.name not in SAMPLE or backend.name != "clickhouse":
            item.add_marker(pytest.mark.clickhouse)
        name = item.name.replace(f"[{backend.name}]", "").replace(f"[{backend.name}-", "[")
        if (reason := MISSING.get(name)) is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
        if (reason := NOT_RUN.get(item.path.name)) is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, run=False))


def _backend_of(item: pytest.Item) -> Backend | None:
    call = getattr(item, "callspec", None)
    values = () if call is None else call.params.values()
    return next((value for value in values if isinstance(value, Backend)), None)
