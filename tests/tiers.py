"""Which files `make test` runs, of those that `make test-all` runs: what protects a change.

Rule: a file is in one tier. Folders of LATER are left to `make test-all`, and of `tests/e2e` all
files but those of FIRST; they are not even imported. Of the contract, `make test` asks SQLite. A
case of a file that has a marker (`long`, `clickhouse`, `helm`, `realworld`) is run by the target of
that name only.
"""

from pathlib import Path
from typing import Final

import pytest

from tests.contract.backends import backend_of

TESTS: Final = Path(__file__).parent

LATER: Final = (
    "api/openapi",
    "bench",
    "deploy",
    "fuzz",
    "realworld",
    "storage/clickhouse",
    "storage/postgres",
    "ui",
)
"""Folders and files that start browsers, servers or programs of others, or ask at random."""

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


def select(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take away the cases of the contract that `make test` does not run."""
    is_taken = [_is_first(item) for item in items]
    left_out = [item for item, taken in zip(items, is_taken, strict=True) if not taken]
    items[:] = [item for item, taken in zip(items, is_taken, strict=True) if taken]
    config.hook.pytest_deselected(items=left_out)


def _is_first(item: pytest.Item) -> bool:
    backend = backend_of(item)
    return backend is None or backend.name == "sqlite"
