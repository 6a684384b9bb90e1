"""kill -9 of any process, or all of them, under load: no completed exchange missing, none twice, a balanced ledger."""

import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.support.kills import ROOM, VICTIMS, kill_rounds
from tests.support.load import PAUSE_S, Load
from tests.support.sidelog import Sidelog, eventually
from tests.support.upstream import read_head, running, scripted, service
from tests.support.wide import wide


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """An ordinary service."""
    with running(service()) as url:
        yield url


def check_accounts(sidelog: Sidelog, completed: list[str]) -> None:
    """Compare what clients got with what is stored, and the ledger with both."""
    ledger = sidelog.settled_ledger()
    assert sum(ledger["dropped"].values()) == 0, ledger
    records = sidelog.records("kind=all")
    ids = Counter(record["id"] for record in records)
    assert not [record_id for record_id, count in ids.items() if count > 1]
    missing = set(completed) - ids.keys()
    assert not missing, (len(missing), ledger)
    assert ledger["stored"] == len(records)
    assert ledger["received"] == len(records)
    seqs = sorted(record["seq"] for record in records)
    assert seqs == list(range(1, len(seqs) + 1))


@pytest.mark.parametrize("workers", [wide("1"), "2"])
def test_kills_under_load_lose_and_double_nothing(tmp_path: Path, upstream: str, workers: str) -> None:
    """Whoever is killed, every exchange a client got completely is stored exactly once."""
    with Sidelog(tmp_path / "data", upstream, "--workers", workers, environ=ROOM) as sidelog:
        report = kill_rounds(sidelog, rounds=len(VICTIMS), seed=int(workers), pause_s=PAUSE_S)
        assert len(report.completed) > 100
        check_accounts(sidelog, report.completed)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_hundreds_of_kills_lose_and_double_nothing(tmp_path: Path, upstream: str) -> None:
    """The same over 200 kills, with growing pauses between restarts."""
    with Sidelog(tmp_path / "data", upstream, "--workers", "2", environ=ROOM) as sidelog:
        report = kill_rounds(sidelog, rounds=200, seed=7)
        check_accounts(sidelog, report.completed)
    print(report.describe(), f"stopped in {sidelog.stop_s:.1f} s")  # noqa: T201 - the figures are what it is run for


def test_a_long_request_of_a_killed_worker_leaves_a_record(tmp_path: Path) -> None:
    """An exchange older than 100 ms is visible in flight, and becomes `worker_lost` when its worker is killed."""

    def never_answer(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.recv(1)

    with (
        scripted(never_answer) as url,
        Sidelog(tmp_path / "data", url) as sidelog,
        closing(HTTPConnection("127.0.0.1", sidelog.port)) as client,
    ):
        client.request("GET", "/slow")
        shown = eventually(lambda: sidelog.api("/api/records?in_flight=true")["records"])
        assert (shown[0]["path"], shown[0]["in_flight"]) == ("/slow", True)
        (worker,) = sidelog.pids("proxy.worker")
        os.kill(worker, signal.SIGKILL)
        (lost,) = eventually(lambda: sidelog.records("outcome=worker_lost"))
        assert lost["id"] == shown[0]["id"]
        assert (lost["status"], lost["level"], lost["path"]) == (None, "error", "/slow")
        sidelog.kill_all()
        sidelog.start()
        assert sidelog.settled_ledger()["received"] >= 1


def test_sigterm_under_load_ends_cleanly(tmp_path: Path, upstream: str) -> None:
    """SIGTERM lets running exchanges finish, stores everything, and leaves no ring behind."""
    sidelog = Sidelog(tmp_path / "data", upstream, "--workers", "2")
    with Load(sidelog.port, pause_s=PAUSE_S) as load, sidelog:
        eventually(lambda: len(load.completed) > 50)
    with sidelog:
        check_accounts(sidelog, load.completed)
        assert len(sidelog.api("/api/status")["rings"]) == 2
