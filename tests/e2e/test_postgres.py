"""A whole sidelog on Postgres: kills of its processes, and of nothing, lose and double no record."""

import asyncio
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from storage.postgres.notices import CHANNEL
from tests.e2e.test_kill import check_accounts
from tests.e2e.test_reload import reload
from tests.support import postgres
from tests.support.kills import KILL_PAUSE_S, ROOM, VICTIMS, kill_rounds
from tests.support.sidelog import Sidelog
from tests.support.upstream import running, service


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """An ordinary service."""
    with running(service()) as url:
        yield url


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


async def test_commits_are_told_once_a_reload_asks_for_it(tmp_path: Path, upstream: str) -> None:
    """`listen_url` comes into force by SIGHUP: the next commit is told under the sidecar's name, and it listens."""
    url = await postgres.database(tmp_path)
    config = tmp_path / "c.toml"
    config.write_text("")
    told: list[object] = []
    other = await asyncpg.connect(url)
    await other.add_listener(CHANNEL, lambda *arguments: told.append(arguments[3]))
    environ = {"SIDELOG_STORAGE__URL": url, "SIDELOG_PROXY__INSTANCE": "here"}
    with Sidelog(tmp_path / "data", upstream, "--config", str(config), environ=environ) as sidelog:
        await asyncio.to_thread(ask, sidelog)
        config.write_text(f'[storage]\nlisten_url = "{url}"\n')
        await asyncio.to_thread(reload, sidelog)
        await asyncio.to_thread(ask, sidelog)
        await other.execute("SELECT 1")
        assert set(told) == {"here"}
        listening = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        # The test's own has asked something else since.
        await postgres.until(other, listening, lambda count: count == 1)
    await other.close()


def ask(sidelog: Sidelog) -> None:
    """Ask once; returns when it is stored."""
    urllib.request.urlopen(sidelog.url + "/x", timeout=60).read()
    sidelog.settled_ledger()
