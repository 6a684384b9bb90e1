"""Crowds and large bodies in full: `pytest -m long tests/e2e/test_limits_long.py -s` prints the
figures, -k chooses.

-k slow_heads, idle_connections_cost, large_bodies (minutes to an hour; `SIDELOG_TEST_TRANSFERS` and
`SIDELOG_TEST_TRANSFER_MIB` make it smaller), upstream_closes.
"""

import os
from pathlib import Path

import pytest

from tests.e2e.test_limits import MIB, check_dribbling, check_fickle, check_idle, check_transfers

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def test_slow_heads_are_closed_while_others_are_served(tmp_path: Path) -> None:
    """2 000 dribbling heads, ten seconds."""
    print(check_dribbling(tmp_path, 2000, 10.0))  # noqa: T201


def test_idle_connections_cost_little(tmp_path: Path) -> None:
    """10 000 idle kept-alive connections."""
    print(check_idle(tmp_path, 10_000, 350 * MIB))  # noqa: T201


TRANSFERS = int(os.environ.get("SIDELOG_TEST_TRANSFERS", "200"))
TRANSFER_MIB = int(os.environ.get("SIDELOG_TEST_TRANSFER_MIB", "1024"))


@pytest.mark.timeout(7200)
def test_large_bodies_leave_memory_flat(tmp_path: Path) -> None:
    """200 transfers of 1 GiB at once, or as many and as large as the environment says; half of them
    uploads.
    """
    print(check_transfers(tmp_path, TRANSFERS, TRANSFER_MIB * MIB, 128 * MIB))  # noqa: T201


def test_idle_connections_that_the_upstream_closes_are_no_errors(tmp_path: Path) -> None:
    """100 000 requests and more: every tenth is a POST."""
    print(check_fickle(tmp_path, 112_000, 8))  # noqa: T201
