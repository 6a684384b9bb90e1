"""Which cases of the contract `make test` leaves to `make wide`: of tests of many, two of three over some backends.

SQLite, the backend of every start, is asked all of them always. Which ones is decided by the sum of their names: every
third in their order would often be the same value of the innermost parameter. Tests of hundreds of statements are left
to it whole, where each is a round trip.
"""

import zlib
from typing import Final

import pytest

from tests.contract.backends import backend_of
from tests.contract.clickhouse import TALKATIVE

SAMPLED: Final = ("model", "postgres")
"""Backends that a sample is asked of."""
REMOTE: Final = "postgres"
MANY: Final = 12
"""Cases of one test over one backend."""
ONE_IN: Final = 3


def mark(items: list[pytest.Item]) -> None:
    """Mark what `make wide` asks."""
    cases: dict[tuple[str, str], list[pytest.Item]] = {}
    for item in items:
        backend = backend_of(item)
        if backend is None or backend.name not in SAMPLED:
            continue
        test = item.nodeid.partition("[")[0]
        if backend.name == REMOTE and test.rpartition("::")[2] in TALKATIVE:
            item.add_marker(pytest.mark.wide)
        else:
            cases.setdefault((backend.name, test), []).append(item)
    for of_one_test in cases.values():
        if len(of_one_test) >= MANY:
            for item in of_one_test[1:]:
                if zlib.crc32(item.nodeid.encode()) % ONE_IN:
                    item.add_marker(pytest.mark.wide)
