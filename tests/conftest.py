"""What every run shares: no limits of time on examples, bytecode that is kept, and the order of the
files.
"""

import gc
import os
import sys
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

from storage.postgres import connection
from storage.postgres import store as postgres_store
from storage.postgres.store import PostgresStorage
from storage.sqlite.store import SqliteStorage
from tests import tiers
from tests.contract import tiers as tiers_of_contract
from tests.contract.backends import READ_BUDGET_S

# How long an example takes depends on what else the machine does: on busy ones the suite must pass,
# too.
settings.register_profile("explored", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples in each run, so that a change fails by what it changes; new ones are drawn by
# `make long`.
settings.register_profile("fixed", settings.get_profile("explored"), derandomize=True)
settings.register_profile("few", settings.get_profile("fixed"), max_examples=20)
settings.register_profile("fewest", settings.get_profile("fixed"), max_examples=8)
settings.load_profile("fixed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make test` say that it is meant."""
    parser.addoption(
        "--brief", action="store_true", help="what protects a change: tests/tiers.py says which"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import nothing of what `make test` leaves to `make test-all`."""
    if config.getoption("brief") and tiers.is_left_out(collection_path):
        return True
    return None


def pytest_configure() -> None:
    """Let the hundreds of processes that tests start keep their bytecode, whatever the shell says
    of it.

    Where nothing keeps it, each compiles all that it imports: `sidelog serve` then takes 2.3 s of
    CPU to start and stop instead of 1.4.

    Stores in a test's own process read for as long as they take, unless it says otherwise.
    """
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for backend in (SqliteStorage, PostgresStorage):
        set_default(backend.open, "read_budget_s", READ_BUDGET_S)
    wait_for_postgres()


def set_default(function: Callable[..., object], name: str, value: float) -> None:
    defaults = getattr(function, "__kwdefaults__", None)
    assert defaults is not None
    assert name in defaults
    defaults[name] = value


def wait_for_postgres() -> None:
    """Have a server that is slow only because tests keep the machine busy not taken for one that
    hangs.

    Tests of these limits set their own.
    """
    for module, name in (
        (connection, "CONNECT_S"),
        (postgres_store, "READ_LIMIT_S"),
        (postgres_store, "IDLE_LIMIT_S"),
        (postgres_store, "LOCK_LIMIT_S"),
    ):
        assert hasattr(module, name)
        setattr(module, name, 120.0)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while tests are collected, nor in them while they run: 5.6 instead of 7.0
    s of CPU.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


LONG: Final = ("e2e", "ui", "openapi", "contract")
"""Folders whose files take long, those that mostly wait first."""


FEW: Final = ("storage", "api")
"""Rooms whose properties `make test-all` alone would ask, of few examples; others are asked of the
compiled build, too.
"""


def mark_properties(items: list[pytest.Item]) -> None:
    """Have `make long`, which names the profile `explored`, ask with all examples what the
    others ask with few.
    """
    for item in items:
        if item.path.relative_to(item.config.rootpath / "tests").parts[
            0
        ] in FEW and is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.long)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that all processes of a run end at the same time."""
    if config.getoption("hypothesis_profile") == "explored":
        mark_properties(items)
    tiers.mark(items)
    tiers_of_contract.mark(items)
    if config.getoption("brief"):
        tiers.select(config, items)
    tests = Counter(item.path for item in items)

    def place(item: pytest.Item) -> tuple[int, int]:
        long = next(
            (number for number, folder in enumerate(LONG) if folder in item.path.parts), len(LONG)
        )
        return long, -tests[item.path]

    items.sort(key=place)
