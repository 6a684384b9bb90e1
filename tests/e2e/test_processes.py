"""The processes live, die and follow each other as promised, and no answered exchange goes missing
meanwhile.
"""

import http.client
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from proxy.supervisor.supervisor import SAME_SIGNAL_S
from tests.support.load import PAUSE_S, Load, NewConnections, await_more
from tests.support.long import long
from tests.support.script import OK
from tests.support.sidelog import Sidelog, await_pids, customized, eventually
from tests.support.upstream import read_head, scripted


class Request(threading.Thread):
    """One GET in the background."""

    def __init__(self, port: int, path: str) -> None:
        """Send it."""
        super().__init__()
        self._port = port
        self._path = path
        self.status = 0
        """0 until it is answered completely."""
        self.start()

    def run(self) -> None:
        """Wait for the answer; a broken connection is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("GET", self._path)
            response = connection.getresponse()
            response.read()
            self.status = response.status
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be reaped does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def stored(sidelog: Sidelog, completed: list[str]) -> dict[str, Any]:
    """Check that each completed exchange is stored exactly once; return the ledger."""
    ledger = sidelog.settled_ledger()
    ids = Counter(record["id"] for record in sidelog.records("kind=all"))
    assert not set(completed) - ids.keys()
    assert max(ids.values(), default=1) == 1
    assert ledger["stored"] == len(ids)
    return ledger


def events(sidelog: Sidelog, name: str) -> list[dict[str, Any]]:
    """Data of all events of one name, newest first."""
    return [record["data"] for record in sidelog.records("kind=event") if record["name"] == name]


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory, upstream: str) -> Iterator[Sidelog]:
    """One that is running, for tests after which it is as well as before."""
    with Sidelog(tmp_path_factory.mktemp("two") / "data", upstream, "--workers", "2") as sidelog:
        yield sidelog


def test_the_processes_are_named_by_their_role(two_workers: Sidelog) -> None:
    """One supervisor, its workers and one collector, each to be told from the other by its command
    line.
    """
    assert two_workers.process is not None
    supervisor = psutil.Process(two_workers.process.pid)
    assert "proxy.supervisor" in supervisor.cmdline()
    roles = Counter(child.cmdline()[3] for child in supervisor.children())
    assert roles == {"proxy.worker": 2, "proxy.collector": 1}


def test_the_collector_yields_to_workers(two_workers: Sidelog) -> None:
    """Its scheduling priority is lower; workers and supervisor keep theirs."""
    assert two_workers.process is not None
    own = os.getpriority(os.PRIO_PROCESS, 0)
    (collector,) = two_workers.pids("proxy.collector")
    assert os.getpriority(os.PRIO_PROCESS, collector) == min(19, own + 5)
    for pid in (*two_workers.pids("proxy.worker"), two_workers.process.pid):
        assert os.getpriority(os.PRIO_PROCESS, pid) == own


@pytest.mark.parametrize("workers", [long("0"), "1"])
def test_the_service_manager_and_other_signals(tmp_path: Path, upstream: str, workers: str) -> None:
    """READY, WATCHDOG and STOPPING are told; a hangup of the whole group ends nobody; SIGUSR1 logs
    the status.
    """
    told: set[bytes] = set()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))

        def listen() -> None:
            while b"STOPPING=1" not in told:
                told.add(manager.recv(100).partition(b"\n")[0])

        # It waits for ever where a state is lost.
        reader = threading.Thread(target=listen, name="service manager", daemon=True)
        reader.start()

        # Long: pings that a slow reader has not taken fill the socket's queue, and the next state
        # is lost.
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "20000000"}
        with Sidelog(tmp_path / "data", upstream, "--workers", workers, environ=environ) as sidelog:
            assert sidelog.process is not None
            eventually(lambda: told >= {b"READY=1", b"WATCHDOG=1"})
            os.killpg(sidelog.process.pid, signal.SIGHUP)
            os.killpg(sidelog.process.pid, signal.SIGUSR1)
            eventually(lambda: '"message": "status"' in sidelog.log)
            eventually(lambda: "reloaded: " in sidelog.log or "need a restart" in sidelog.log)
            eventually(sidelog.is_ready)
            assert "restarting it" not in sidelog.log

            if workers != "0":
                os.killpg(sidelog.process.pid, signal.SIGHUP)
                for _ in range(20):  # whatever is starting meanwhile
                    os.killpg(sidelog.process.pid, signal.SIGUSR1)
                    time.sleep(0.05)
                eventually(lambda: sidelog.log.count("reloaded: ") == 2)

            assert "keeping the current settings" not in sidelog.log

        reader.join(60)

    listening = {
        state for state in told if state.startswith(b"STATUS=listening on http://127.0.0.1:")
    }
    assert len(listening) == 1, "once, when the ports are bound"
    assert told - listening - {b"RELOADING=1"} == {b"READY=1", b"WATCHDOG=1", b"STOPPING=1"}
    assert (b"RELOADING=1" in told) == (workers != "0")


def test_a_survivor_adopts_the_socket_of_a_killed_worker(two_workers: Sidelog) -> None:
    """While one of two workers is killed again and again, new connections fail only if they were in
    its hands.
    """
    clients = 4
    kills = 3
    with NewConnections(two_workers.port, clients, pause_s=PAUSE_S) as load:
        for _ in range(kills):
            await_more(load.completed, 20)
            os.kill(two_workers.pids("proxy.worker")[0], signal.SIGKILL)
            await_more(load.completed, 60)
            eventually(lambda: len(two_workers.pids("proxy.worker")) == 2)

    assert not [
        error for error in load.errors if isinstance(error, TimeoutError | ConnectionRefusedError)
    ]
    assert len(load.errors) <= clients * kills
    stored(two_workers, load.completed)


def test_traffic_goes_on_without_a_collector(tmp_path: Path, upstream: str) -> None:
    """While the collector stands still, and when it is killed, requests are answered; all is stored
    afterwards.
    """
    with Sidelog(tmp_path / "data", upstream) as sidelog:
        (collector,) = sidelog.pids("proxy.collector")
        os.kill(collector, signal.SIGSTOP)
        with Load(sidelog.port, pause_s=PAUSE_S) as load:
            await_more(load.completed, 100)
            os.kill(collector, signal.SIGKILL)
            await_more(load.completed, 100)

        assert load.errors == 0
        sidelog.await_log("collector is ready again")
        assert stored(sidelog, load.completed)["dropped"] == {}


def test_children_end_by_themselves_when_the_supervisor_is_killed(two_workers: Sidelog) -> None:
    """Workers finish what runs, the collector stores it, both end; a new start waits for them and
    misses nothing.
    """
    with Load(two_workers.port, pause_s=PAUSE_S) as load:
        await_more(load.completed, 50)
        slow = Request(two_workers.port, "/slow?s=5")
        eventually(lambda: two_workers.is_in_flight("/slow"))
        children = two_workers.pids("proxy.worker") + two_workers.pids("proxy.collector")
        assert two_workers.process is not None
        two_workers.process.kill()
        two_workers.process.wait()
        assert any(map(is_alive, children))

    two_workers.start()
    assert not any(map(is_alive, children))
    slow.join()
    assert slow.status == 200
    assert stored(two_workers, load.completed)["dropped"] == {}
    assert not events(two_workers, "unclean_start")


def test_sigterm_lets_a_running_request_finish_and_refuses_new_ones(tmp_path: Path) -> None:
    """While it drains, the port is closed at once instead of taking connections that nobody will
    serve.
    """
    may_answer = threading.Event()

    def hold(connection: socket.socket, number: int) -> None:
        read_head(connection)
        may_answer.wait(60)
        connection.sendall(OK)

    with scripted(hold) as url, Sidelog(tmp_path / "data", url, "--workers", "2") as sidelog:
        slow = Request(sidelog.port, "/slow")
        eventually(lambda: sidelog.is_in_flight("/slow"))
        assert sidelog.process is not None
        sidelog.process.send_signal(signal.SIGTERM)

        def is_refused() -> bool:
            try:
                socket.create_connection(("127.0.0.1", sidelog.port), timeout=60).close()
            except ConnectionRefusedError:
                return True
            return False

        eventually(is_refused)
        assert slow.is_alive()
        may_answer.set()
        assert sidelog.process.wait(60) == 0, sidelog.log
        sidelog.process = None
        slow.join()
        assert slow.status == 200
        sidelog.start()
        assert [record["outcome"] for record in sidelog.records("path=/slow")] == ["ok"]
        eventually(lambda: len(sidelog.api("/api/status")["rings"]) == 2)


def test_a_second_sigterm_stops_at_once(
    tmp_path: Path, upstream: str, record_property: Callable[[str, object], None]
) -> None:
    """Nobody has to wait for a request that takes too long; what was answered before is stored at
    the next start.

    How long the first request after a start waits is in the report.
    """
    sidelog = Sidelog(tmp_path / "data", upstream)
    began_s = time.monotonic()
    with sidelog:
        Request(sidelog.port, "/before").join()
        record_property("start_to_first_answer_s", round(time.monotonic() - began_s, 2))
        slow = Request(sidelog.port, "/slow?s=50")
        eventually(lambda: sidelog.is_in_flight("/slow"))
        assert sidelog.process is not None
        children = sidelog.pids("proxy.worker") + sidelog.pids("proxy.collector")
        sidelog.process.send_signal(signal.SIGTERM)
        sidelog.await_log('"message": "stopping')
        time.sleep(SAME_SIGNAL_S)  # sooner it would be the first one, sent twice
        assert sidelog.process.poll() is None
        sidelog.process.send_signal(signal.SIGTERM)
        assert sidelog.process.wait(60) == 1
        sidelog.process = None
        assert not any(map(is_alive, children))
        slow.join()
        assert slow.status == 0
        sidelog.start()
        eventually(lambda: len(sidelog.records()) == 2)
        assert {record["path"]: record["outcome"] for record in sidelog.records()} == {
            "/before": "ok",
            "/slow": "worker_lost",
        }
        sidelog.settled_ledger()


def anonymous_rings(sidelog: Sidelog) -> int:
    """Count the memory files of rings that the supervisor holds."""
    assert sidelog.process is not None
    descriptors = Path(f"/proc/{sidelog.process.pid}/fd").iterdir()
    return len({fd.stat().st_ino for fd in descriptors if "sidelog-ring" in os.readlink(fd)})


@pytest.fixture
def without_shared_memory(tmp_path: Path) -> dict[str, str]:
    """An environment in which /dev/shm has no room."""
    return customized(
        tmp_path,
        "import os\n"
        "real = os.statvfs\n"
        "def statvfs(path):\n"
        "    found = real(path)\n"
        "    if str(path) == '/dev/shm':\n"
        "        found = os.statvfs_result(0 if 2 <= index <= 4 else value for index, value in "
        "enumerate(found))\n"
        "    return found\n"
        "os.statvfs = statvfs\n",
    )


@pytest.mark.long
def test_anonymous_rings_survive_worker_and_collector(
    tmp_path: Path, upstream: str, without_shared_memory: dict[str, str]
) -> None:
    """Where shared memory has no room the supervisor holds the rings: kills of its children lose
    and double nothing.
    """
    with Sidelog(tmp_path / "data", upstream, environ=without_shared_memory) as sidelog:
        completed = []
        for victim in ("proxy.worker", "proxy.collector", "proxy.collector", "proxy.worker"):
            (pid,) = await_pids(sidelog, victim)
            eventually(
                lambda: (
                    "memfd:sidelog-ring"
                    in Path(f"/proc/{sidelog.pids('proxy.worker')[0]}/maps").read_text()
                )
            )
            with Load(sidelog.port, pause_s=PAUSE_S) as load:
                await_more(load.completed, 100)
                os.kill(pid, signal.SIGKILL)
                await_more(load.completed, 100)

            completed += load.completed
            eventually(sidelog.is_ready)

        ledger = stored(sidelog, completed)
        assert (ledger["received"], ledger["dropped"]) == (ledger["stored"], {})
        assert not events(sidelog, "unclean_start")
        eventually(lambda: len(sidelog.api("/api/status")["rings"]) == 1)
        eventually(lambda: anonymous_rings(sidelog) == 1)
        sidelog.kill_all()
        sidelog.start()
        (event,) = eventually(lambda: events(sidelog, "unclean_start"))
        assert event["reason"] == "ring_lost"
        assert sidelog.settled_ledger()["received"] == ledger["received"] + 1


def test_a_full_ring_drops_records_and_says_how_many(tmp_path: Path, upstream: str) -> None:
    """While nobody reads a tiny ring, requests are answered all the same; the ledger and a gap tell
    what is missing.
    """
    environ = {"SIDELOG_RING__BYTES": str(1 << 20)}
    with Sidelog(tmp_path / "data", upstream, environ=environ) as sidelog:
        (collector,) = sidelog.pids("proxy.collector")
        os.kill(collector, signal.SIGSTOP)
        load = Load(sidelog.port)
        load.headers["X-Filler"] = "x" * 3000
        with load:
            await_more(load.completed, 500)
        os.kill(collector, signal.SIGCONT)
        assert load.errors == 0
        dropped = eventually(lambda: sidelog.settled_ledger()["dropped"])
        gaps = eventually(lambda: events(sidelog, "gap"))
        assert dropped == {"ring_full": sum(gap["count"] for gap in gaps)}
        ids = {record["id"] for record in sidelog.records()}
        assert len(set(load.completed) - ids) == dropped["ring_full"]
        assert not ids - set(load.completed)
        assert {record["shed"] for record in sidelog.records()} >= {"none", "bodies"}
        Request(sidelog.port, "/after").join()
        assert eventually(lambda: sidelog.records("path=/after"))
