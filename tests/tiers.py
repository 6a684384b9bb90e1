"""Which files `make test` runs, of those that `make test-all` runs: what protects a change.

Rule: a file is in one tier. Folders and files of LATER are left to `make test-all`, and of
`tests/e2e` all files but those of FIRST; they are not even imported. Of the contract, `make test`
asks SQLite, and not what writes megabytes. A case that has a marker (`long`, `clickhouse`, `helm`,
`realworld`) is run by the target of that name only.
"""

from pathlib import Path
from typing import Final

import pytest

from tests.contract.backends import backend_of
from tests.contract.tiers import TALKATIVE

TESTS: Final = Path(__file__).parent

LATER: Final = frozenset({
    "api/openapi", "bench", "deploy", "fuzz", "realworld", "storage/clickhouse", "storage/postgres", "ui",
    "api/test_isolation.py", "contract/test_storage_text_index_kills.py", "proxy/demo/test_run.py",
    "storage/sqlite/test_trim.py", "test_linear_patterns.py",
})  # fmt: skip
"""Folders that start browsers, servers or programs of others, or ask at random; files that take
more than five seconds of CPU, more than a tenth of all of `make test` together.
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
    """Take away the cases of the contract that `make test` does not run."""
    left_out = [item for item in items if not _is_first(item)]
    items[:] = [item for item in items if _is_first(item)]
    config.hook.pytest_deselected(items=left_out)


def _is_first(item: pytest.Item) -> bool:
    backend = backend_of(item)
    return backend is None or (backend.name == "sqlite" and _name(item) not in TALKATIVE)


def _name(item: pytest.Item) -> str:
    return item.name.partition("[")[0]
