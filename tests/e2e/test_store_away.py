"""The store is away while traffic goes on: the spool takes over, whoever is killed, and all is
stored once.
"""

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_kill import check_accounts
from tests.support import postgres
from tests.support.kills import KILL_PAUSE_S, ROOM, VICTIMS, kill_rounds
from tests.support.load import PAUSE_S, Load, await_more
from tests.support.sidelog import Sidelog, await_pids, eventually

MIB = 1 << 20
ENVIRON = {
    "SIDELOG_STORAGE__QUEUE_MAX_BYTES": str(MIB),
    "SIDELOG_RING__BYTES": str(32 * MIB),
}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep everybody else from writing to a database."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def outage(path: Path, is_away: bool) -> Iterator[None]:
    """Keep the store away, or not."""
    if is_away:
        with locked(path):
            yield
    else:
        yield


def large() -> bytes:
    """Make a body of which 250 fill the queue."""
    return b'{"text": "%s"}' % (b"x" * 4000)


def balanced(sidelog: Sidelog) -> dict[str, Any]:
    """Read the ledger, which balances at any moment."""
    ledger: dict[str, Any] = sidelog.api("/api/ledger")
    assert ledger["balanced"], ledger
    return ledger


def test_a_locked_store_costs_nothing(tmp_path: Path, upstream: str) -> None:
    """While another process holds the database, requests are answered, records spooled, and stored
    when it lets go.
    """
    with Sidelog(tmp_path / "data", upstream, environ=ENVIRON) as sidelog:
        with Load(sidelog.port, pause_s=PAUSE_S, make_body=large) as load:
            await_more(load.completed, 50)
            with locked(tmp_path / "data" / "sidelog.db"):
                eventually(lambda: balanced(sidelog)["spooled"] > 100)
                assert sidelog.is_ready()
                await_more(load.completed, 50)

            eventually(lambda: balanced(sidelog)["spooled"] == 0)
            await_more(load.completed, 50)

        check_accounts(sidelog, load.completed)
        assert not list((tmp_path / "data" / "spool").glob("*.spool"))


@pytest.mark.long
@pytest.mark.parametrize("victim", ["proxy.collector", "all"])
def test_a_kill_while_the_store_is_away_costs_nothing(
    tmp_path: Path, upstream: str, victim: str
) -> None:
    """Killed with records in the ring, the queue and the spool: each is stored exactly once
    afterwards.
    """
    with Sidelog(tmp_path / "data", upstream, environ=ENVIRON) as sidelog:
        with Load(sidelog.port, pause_s=PAUSE_S, make_body=large) as load:
            await_more(load.completed, 50)
            with locked(tmp_path / "data" / "sidelog.db"):
                eventually(lambda: balanced(sidelog)["spooled"] > 100)
                if victim == "all":
                    sidelog.kill_all()
                else:
                    os.kill(await_pids(sidelog, victim)[0], signal.SIGKILL)

            if victim == "all":
                sidelog.start()
            await_more(load.completed, 50)

        eventually(sidelog.is_ready)
        check_accounts(sidelog, load.completed)


def away_url(tmp_path: Path) -> dict[str, str]:
    """Settings for a store whose directory cannot be made, as long as a file lies there."""
    (tmp_path / "blocked").write_text("")
    return {**ENVIRON, "SIDELOG_STORAGE__URL": f"sqlite:///{tmp_path}/blocked/sidelog.db"}


def test_a_store_that_is_away_at_the_start_is_met_later(tmp_path: Path, upstream: str) -> None:
    """Requests are answered, records spooled, what is away is told; when the store comes,
    everything is in it once.
    """
    with (
        Sidelog(tmp_path / "data", upstream, environ=away_url(tmp_path)) as sidelog,
        Load(sidelog.port, pause_s=PAUSE_S, make_body=large) as load,
    ):
        eventually(lambda: balanced(sidelog)["spooled"] > 100)
        assert sidelog.ready_answer() == {
            **{
                "ready": True,
                "draining": False,
                "degraded": True,
                "workers_ready": 1,
                "rings_unread": 0,
            },
            **{"away": ["store"], "reasons": ["the store is away"]},
        }
        assert "blocked" in sidelog.api("/api/status")["storage"]["reason"]
        assert sidelog.status_of("/api/records") == sidelog.status_of("/api/records/stream") == 503
        sidelog.stop()
        sidelog.start()
        await_more(load.completed, 50)
        (tmp_path / "blocked").unlink()
        eventually(lambda: balanced(sidelog)["spooled"] == 0)
        await_more(load.completed, 50)
        storage = sidelog.api("/api/status")["storage"]
        assert storage == {
            "up": True,
            "reason": None,
            "warning": None,
            "replicas": [],
        }
        load.stop()
        check_accounts(sidelog, load.completed)


@pytest.mark.long
def test_kills_before_the_store_has_come_cost_nothing(tmp_path: Path, upstream: str) -> None:
    """Whoever is killed while the store has never been there, and over its coming, every record is
    stored once.
    """
    with Sidelog(
        tmp_path / "data", upstream, "--workers", "2", environ=away_url(tmp_path)
    ) as sidelog:
        report = kill_rounds(sidelog, rounds=len(VICTIMS), seed=5, pause_s=KILL_PAUSE_S)
        (tmp_path / "blocked").unlink()
        report.completed += kill_rounds(sidelog, rounds=1, seed=6, pause_s=KILL_PAUSE_S).completed
        check_accounts(sidelog, report.completed)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_hundreds_of_kills_while_the_store_is_away_cost_nothing(
    tmp_path: Path, upstream: str
) -> None:
    """Outages begin and end over 200 kills; starts find the store there or away, in the middle of
    both.
    """
    path = tmp_path / "data" / "sidelog.db"
    with Sidelog(tmp_path / "data", upstream, "--workers", "2", environ=ROOM) as sidelog:
        report = kill_rounds(
            sidelog, rounds=200, seed=8, during=lambda number: outage(path, number % 10 < 8)
        )
        check_accounts(sidelog, report.completed)

    print(report.describe(), f"stopped in {sidelog.stop_s:.1f} s")  # noqa: T201 - the figures are what it is run for


@pytest.mark.long
def test_postgres_may_come_after_its_sidecar(tmp_path: Path, upstream: str) -> None:
    """A sidecar that starts before its database serves, spools, and stores all of it when the
    database is up.
    """
    with postgres.own_server() as server:
        server.stop()
        environ = {**ENVIRON, "SIDELOG_STORAGE__URL": server.url("postgres")}
        with Sidelog(tmp_path / "data", upstream, environ=environ) as sidelog:
            with Load(sidelog.port, pause_s=PAUSE_S, make_body=large) as load:
                await_more(load.completed, 200)
                assert sidelog.ready_answer()["away"] == ["store"]
                server.start()
                eventually(lambda: sidelog.api("/api/status")["storage"]["up"])
            check_accounts(sidelog, load.completed)


def test_an_address_that_can_never_work_ends_the_start(tmp_path: Path, upstream: str) -> None:
    """What only another configuration can mend is one clear line and an exit code, not an endless
    wait.
    """
    pytest.importorskip("asyncpg")
    environ = {"SIDELOG_STORAGE__URL": "postgresql://127.0.0.1/sidelog?sslmode=perhaps"}
    sidelog = Sidelog(tmp_path / "data", upstream, environ=environ)
    sidelog.start(is_awaited=False)
    assert sidelog.process is not None
    assert sidelog.process.wait(60) == 1
    (line,) = [line for line in sidelog.log.splitlines() if "cannot be used" in line]
    assert "sslmode" in line


@pytest.mark.long
def test_a_reader_that_does_not_end_bounds_the_files(tmp_path: Path, upstream: str) -> None:
    """Another program keeps a snapshot of a store with a cap: it is named, records are spooled, and
    stored then.
    """
    environ = {**ENVIRON, "SIDELOG_RETENTION__MAX_BYTES": str(16 * MIB)}
    path = tmp_path / "data" / "sidelog.db"
    with Sidelog(tmp_path / "data", upstream, environ=environ) as sidelog:
        with Load(
            sidelog.port,
            pause_s=0.01,
            make_body=lambda: b'{"text": "%s"}' % os.urandom(20_000).hex().encode(),
        ) as load:
            await_more(load.completed, 20)
            with closing(sqlite3.connect(path, isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM records").fetchall()
                eventually(lambda: balanced(sidelog)["spooled"] > 20)
                assert "end it" in sidelog.api("/api/status")["storage"]["reason"]
                assert (
                    sum(file.stat().st_size for file in path.parent.glob("sidelog.db*")) <= 24 * MIB
                )

            load.stop()

        eventually(lambda: balanced(sidelog)["spooled"] == 0)
        assert sidelog.settled_ledger()["dropped"] == {}
