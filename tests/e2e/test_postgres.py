"""A whole sidelog on Postgres: kills of its processes, and of nothing, lose and double no record."""

import asyncio
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.test_kill import check_accounts
from tests.support import postgres
from tests.support.kills import KILL_PAUSE_S, ROOM, VICTIMS, kill_rounds
from tests.support.sidelog import Sidelog


@pytest.mark.long
@pytest.mark.timeout(900)
def test_kills_under_load_lose_and_double_nothing(tmp_path: Path, upstream: str) -> None:
    """Whoever is killed, every exchange a client got completely is stored exactly once."""
    environ = {**ROOM, "SIDELOG_STORAGE__URL": asyncio.run(postgres.database(tmp_path))}
    with Sidelog(tmp_path / "data", upstream, "--workers", "2", environ=environ) as sidelog:
        report = kill_rounds(sidelog, rounds=len(VICTIMS), seed=3, pause_s=KILL_PAUSE_S)
        assert len(report.completed) > 100
        check_accounts(sidelog, report.completed)
        assert not list(sidelog.data_dir.glob("*.db"))


def ask(sidelog: Sidelog) -> None:
    """Ask once; returns when it is stored."""
    urllib.request.urlopen(sidelog.url + "/x", timeout=60).read()
    sidelog.settled_ledger()
