"""Whatever becomes of the files and places of rings, every exchange is recorded, or somebody is
told.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.cli.commands.health import NEXT
from proxy.process.data_dir import read_state
from proxy.process.ring_home import waiting_in
from proxy.ring.segment import segments_in
from tests.e2e.test_kill import check_accounts
from tests.e2e.test_processes import anonymous_rings, stored
from tests.support.kills import ROOM, kill_rounds
from tests.support.load import PAUSE_S, Load, await_more
from tests.support.long import long
from tests.support.programs import PROGRAM_S
from tests.support.sidelog import ROOT, Sidelog, await_pids, customized, eventually

ROOM_FOR_ONE = """
import os
real = os.posix_fallocate
def posix_fallocate(fd, offset, length):
    path = os.readlink(f"/proc/self/fd/{fd}")
    directory, name = os.path.split(path)
    if name.endswith(".new") and set(os.listdir(directory)) - {name, "owner"}:
        raise OSError(28, "No space left on device")
    real(fd, offset, length)
os.posix_fallocate = posix_fallocate
"""


def rings_of(sidelog: Sidelog) -> Path:
    """Where its rings are."""
    return Path(read_state(sidelog.data_dir)["rings"])


def kill(sidelog: Sidelog, role: str) -> None:
    """Kill one process of a role."""
    os.kill(await_pids(sidelog, role)[0], signal.SIGKILL)


def health(sidelog: Sidelog) -> tuple[int, str]:
    """What `sidelog health` says."""
    command = [sys.executable, "-m", "proxy", "health", "--data-dir", str(sidelog.data_dir)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=PROGRAM_S, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.long
def test_rings_for_which_there_is_no_room_are_read_too(tmp_path: Path, upstream: str) -> None:
    """Shared memory holds one of two rings, and none of those of a reload: all are drained."""
    environ = customized(tmp_path, ROOM_FOR_ONE)
    with Sidelog(tmp_path / "data", upstream, "--workers", "2", environ=environ) as sidelog:
        assert len(segments_in(rings_of(sidelog))) <= 1
        with Load(sidelog.port, pause_s=PAUSE_S) as load:
            await_more(load.completed, 30)
            assert sidelog.process is not None
            sidelog.process.send_signal(signal.SIGHUP)
            eventually(lambda: sidelog.log.count('"message": "reloaded'))
            await_more(load.completed, 30)
            kill(sidelog, "proxy.collector")
            await_more(load.completed, 30)

        eventually(sidelog.is_ready)
        ledger = stored(sidelog, load.completed)
        assert (ledger["received"], ledger["dropped"]) == (ledger["stored"], {})
        eventually(lambda: len(sidelog.api("/api/status")["rings"]) == 2)
        assert anonymous_rings(sidelog) >= 1


@pytest.mark.long
@pytest.mark.parametrize("workers", [long("1"), "2"])
def test_rings_whose_files_were_removed_are_read_on(
    tmp_path: Path, upstream: str, workers: str
) -> None:
    """A cleaner takes them away while their workers run, and the collector starts anew: nothing is
    missing.
    """
    with (
        Sidelog(tmp_path / "data", upstream, "--workers", workers) as sidelog,
        Load(sidelog.port, pause_s=PAUSE_S) as load,
    ):
        await_more(load.completed, 30)
        for path in segments_in(rings_of(sidelog)):
            path.unlink()
        for victim in ("proxy.collector", "proxy.worker", "proxy.collector"):
            kill(sidelog, victim)
            await_more(load.completed, 30)
        load.stop()
        eventually(sidelog.is_ready)
        ledger = stored(sidelog, load.completed)
        assert (ledger["received"], ledger["dropped"]) == (ledger["stored"], {})


@pytest.fixture(scope="module")
def stoppable(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, upstream: str
) -> Iterator[Sidelog]:
    """One with so many workers, of which none can be started while there is a file `stop` beside
    its data directory.
    """
    directory = tmp_path_factory.mktemp("stoppable")
    environ = customized(
        directory,
        "import os, sys\n"
        f"if 'proxy.worker' in sys.orig_argv and os.path.exists({str(directory / 'stop')!r}):\n"
        "    os._exit(1)\n",
    )
    with Sidelog(
        directory / "data", upstream, "--workers", request.param, environ=environ
    ) as sidelog:
        yield sidelog


@pytest.mark.parametrize("stoppable", ["2"], indirect=True)
def test_a_ring_that_cannot_be_read_is_an_error_of_readiness(stoppable: Sidelog) -> None:
    """Not a matter for whoever misses a record next week."""
    (ring, _) = eventually(
        lambda: two if len(two := segments_in(rings_of(stoppable))) == 2 else None
    )
    with ring.open("r+b") as file:
        file.write(b"damaged!")
    kill(stoppable, "proxy.collector")
    eventually(lambda: stoppable.ready_answer().get("rings_unread") == 1)
    answer = stoppable.ready_answer()
    assert not answer["ready"]
    (reason,) = answer["reasons"]
    assert reason.startswith("the ring of worker ")
    assert health(stoppable) == (1, f"not ready: {reason}\n{NEXT}\n")
    read = {worker["name"]: worker["read"] for worker in stoppable.api("/api/status")["workers"]}
    assert sorted(read.values()) == [False, True]
    stoppable.await_log("is unread: its records are lost when it ends")
    source = ring.stem
    (worker,) = [w for w in stoppable.api("/api/status")["workers"] if w["ring"] == source]
    os.kill(worker["pid"], signal.SIGKILL)  # the next one has a ring of its own
    eventually(stoppable.is_ready)
    ring.unlink()


def test_rings_whose_directory_was_removed_are_read_on(tmp_path: Path, upstream: str) -> None:
    """One that was configured too: a worker that is started again has its ring in anonymous memory."""
    rings = tmp_path / "rings"
    rings.mkdir()

    environ = {"SIDELOG_RING__DIRECTORY": str(rings)}
    with (
        Sidelog(tmp_path / "data", upstream, environ=environ) as sidelog,
        Load(sidelog.port, pause_s=PAUSE_S) as load,
    ):
        await_more(load.completed, 30)
        shutil.rmtree(rings)
        for victim in ("proxy.worker", "proxy.collector"):
            kill(sidelog, victim)
            await_more(load.completed, 30)
        load.stop()
        eventually(sidelog.is_ready)
        ledger = stored(sidelog, load.completed)
        assert (ledger["received"], ledger["dropped"]) == (ledger["stored"], {})


def all_at_work(sidelog: Sidelog) -> list[int]:
    """Return the workers, or none while there is one that accepts no connections yet, or whose ring
    is not read.
    """
    pids = sidelog.pids("proxy.worker")
    at_work = {
        worker["pid"]
        for worker in sidelog.api("/api/status")["workers"]
        if worker["ready"] and worker["read"]
    }
    return pids if set(pids) <= at_work else []


@pytest.mark.parametrize("stoppable", [long("1"), "2"], indirect=True)
def test_without_a_worker_it_is_not_ready(stoppable: Sidelog) -> None:
    """None can be started for a while; when one can again, all is well."""
    stop = stoppable.data_dir.with_name("stop")
    # One that only begins ends by itself.
    workers = eventually(lambda: all_at_work(stoppable))
    stop.touch()
    for pid in workers:
        assert stoppable.ready_answer()["ready"]
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not stoppable.ready_answer()["ready"])
    assert health(stoppable) == (1, f"not ready: no worker accepts connections\n{NEXT}\n")
    stop.unlink()
    eventually(stoppable.is_ready)
    assert health(stoppable) == (0, "ready\n")


@pytest.mark.parametrize("workers", [long("1"), "2"])
def test_a_ring_that_is_cut_is_reported_as_lost(
    tmp_path: Path, upstream: str, workers: str
) -> None:
    """While it is not read: its worker starts again with another ring, and traffic goes on."""
    with (
        Sidelog(tmp_path / "data", upstream, "--workers", workers) as sidelog,
        Load(sidelog.port, pause_s=PAUSE_S) as load,
    ):
        await_more(load.completed, 30)
        # Of a ring never read no position is known.
        eventually(lambda: sidelog.api("/api/ledger")["stored"] >= 30)
        (collector,) = await_pids(sidelog, "proxy.collector")
        os.kill(collector, signal.SIGSTOP)
        await_more(load.completed, 100)
        # Clients choose workers by chance: a ring may have nothing to lose.
        ring = max(segments_in(rings_of(sidelog)), key=waiting_in)
        os.truncate(ring, ring.stat().st_size - (8 << 20) + (20 << 10))
        os.kill(collector, signal.SIGKILL)
        await_more(load.completed, 100)
        load.stop()
        eventually(sidelog.is_ready)
        sidelog.settled_ledger()
        # The collector stores the event behind the records that waited.
        lost = "query=name:unclean_start&kind=event"
        [event] = [record["data"] for record in eventually(lambda: sidelog.records(lost))]
        assert (event["reason"], event["ring"]) == ("ring_lost", ring.stem)
        sidelog.await_log("a ring cannot be read and is left in place")
        assert sidelog.stop(check=False) == 1
        assert "unread rings remain" in sidelog.log


def test_a_data_directory_that_is_moved_away_is_noticed(tmp_path: Path, upstream: str) -> None:
    """Traffic goes on, and somebody is told before it is too late."""
    with (
        Sidelog(tmp_path / "data", upstream) as sidelog,
        Load(sidelog.port, pause_s=PAUSE_S) as load,
    ):
        await_more(load.completed, 20)
        sidelog.data_dir.rename(tmp_path / "moved")
        eventually(lambda: sidelog.ready_answer().get("gone"))
        answer = sidelog.ready_answer()
        assert (answer["ready"], answer["degraded"]) == (True, True)
        assert "the data directory was removed: restart" in answer["reasons"]
        sidelog.await_log("the data directory was removed or replaced while sidelog runs")
        # Nothing takes the place of the store before a restart.
        eventually(lambda: sidelog.ready_answer().get("away"))
        sidelog.await_log("the store was removed, emptied or replaced while sidelog runs")
        await_more(load.completed, 20)


@pytest.mark.long
def test_two_in_one_place_keep_their_own(tmp_path: Path, upstream: str) -> None:
    """One is killed with records in its rings and started again beside the other: each has what it
    was asked, once.
    """
    with (
        Sidelog(tmp_path / "one", upstream) as one,
        Sidelog(tmp_path / "two", upstream) as two,
        Load(one.port, 2, pause_s=PAUSE_S) as load,
        Load(two.port, 2, pause_s=PAUSE_S) as beside,
    ):
        assert rings_of(one).parent == rings_of(two).parent
        await_more(load.completed, 30)
        (collector,) = await_pids(one, "proxy.collector")
        os.kill(collector, signal.SIGSTOP)
        await_more(load.completed, 30)
        one.kill_all()
        await_more(beside.completed, 30)
        kill(two, "proxy.collector")
        one.start()
        await_more(load.completed, 30)
        load.stop()
        beside.stop()
        check_accounts(one, load.completed)
        check_accounts(two, beside.completed)


KILLS = int(os.environ.get("SIDELOG_TEST_KILLS", "100"))
"""Of each long run."""
ONE_BY_ONE = ("proxy.worker", "proxy.collector")
"""Of rings without a file nothing is left when all processes are killed at once."""


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_kills_with_rings_in_a_full_directory(tmp_path: Path, upstream: str) -> None:
    """At most one ring is a file; whoever is killed, everything answered is stored once."""
    environ = ROOM | customized(tmp_path, ROOM_FOR_ONE)
    with Sidelog(tmp_path / "data", upstream, "--workers", "2", environ=environ) as sidelog:
        report = kill_rounds(sidelog, KILLS, seed=1, victims=ONE_BY_ONE)
        check_accounts(sidelog, report.completed)
    print(report.describe())  # noqa: T201 - the figures are what it is run for


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_kills_with_rings_whose_directory_is_removed(tmp_path: Path, upstream: str) -> None:
    """Their files are taken away in every round, and in some the directory too."""

    @contextmanager
    def cleaned(number: int) -> Iterator[None]:
        for path in segments_in(rings_of(sidelog)):
            path.unlink()
        if number % 10 == 5:
            shutil.rmtree(rings_of(sidelog), ignore_errors=True)
        yield

    with Sidelog(tmp_path / "data", upstream, "--workers", "2", environ=ROOM) as sidelog:
        report = kill_rounds(sidelog, KILLS, seed=2, victims=ONE_BY_ONE, during=cleaned)
        check_accounts(sidelog, report.completed)
    print(report.describe())  # noqa: T201 - the figures are what it is run for


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_kills_beside_another_sidelog_with_rings_in_the_same_place(
    tmp_path: Path, upstream: str
) -> None:
    """Each keeps what is its own, also when all processes of one are killed at once and it is
    started again.
    """
    with (
        Sidelog(tmp_path / "one", upstream, "--workers", "2", environ=ROOM) as one,
        Sidelog(tmp_path / "two", upstream, "--workers", "2", environ=ROOM) as two,
    ):
        assert rings_of(one).parent == rings_of(two).parent
        with Load(two.port) as beside:
            report = kill_rounds(one, KILLS, seed=3)
        check_accounts(one, report.completed)
        check_accounts(two, beside.completed)

    print(report.describe())  # noqa: T201 - the figures are what it is run for
