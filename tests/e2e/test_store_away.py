"""The store is away while traffic goes on: the spool takes over, whoever is killed, and all is stored once."""

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_kill import check_accounts
from tests.support.load import Load, await_more
from tests.support.sidelog import Sidelog, await_pids, eventually
from tests.support.upstream import running, service

MIB = 1 << 20
ENVIRON = {
    "SIDELOG_STORAGE__QUEUE_MAX_BYTES": str(MIB),
    "SIDELOG_STORAGE__BATCH_MAX_BYTES": str(MIB // 4),
    "SIDELOG_RING__BYTES": str(32 * MIB),
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """An ordinary service."""
    with running(service()) as url:
        yield url


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep everybody else from writing to a database."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def balanced(sidelog: Sidelog) -> dict[str, Any]:
    """Read the ledger, which balances at any moment."""
    ledger: dict[str, Any] = sidelog.api("/api/ledger")
    assert ledger["balanced"], ledger
    return ledger


def test_a_locked_store_costs_nothing(tmp_path: Path, upstream: str) -> None:
    """While another process holds the database, requests are answered, records spooled, and stored when it lets go."""
    with Sidelog(tmp_path / "data", upstream, environ=ENVIRON) as sidelog:
        with Load(sidelog.port) as load:
            await_more(load.completed, 50)
            with locked(tmp_path / "data" / "sidelog.db"):
                eventually(lambda: balanced(sidelog)["spooled"] > 300, 40)
                assert sidelog.is_ready()
                await_more(load.completed, 50)
            eventually(lambda: balanced(sidelog)["spooled"] == 0, 40)
            await_more(load.completed, 50)
        check_accounts(sidelog, load.completed)
        assert not list((tmp_path / "data" / "spool").glob("*.spool"))


@pytest.mark.parametrize("victim", ["proxy.collector", pytest.param("all", marks=pytest.mark.long)])
def test_a_kill_while_the_store_is_away_costs_nothing(tmp_path: Path, upstream: str, victim: str) -> None:
    """Killed with records in the ring, the queue and the spool: each is stored exactly once afterwards."""
    with Sidelog(tmp_path / "data", upstream, environ=ENVIRON) as sidelog:
        with Load(sidelog.port) as load:
            await_more(load.completed, 50)
            with locked(tmp_path / "data" / "sidelog.db"):
                eventually(lambda: balanced(sidelog)["spooled"] > 300, 40)
                if victim == "all":
                    sidelog.kill_all()
                else:
                    os.kill(await_pids(sidelog, victim)[0], signal.SIGKILL)
            if victim == "all":
                sidelog.start()
            await_more(load.completed, 50)
        eventually(sidelog.is_ready)
        check_accounts(sidelog, load.completed)
