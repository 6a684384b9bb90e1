"""grpcio, client and server: every kind of call through sidelog ends as it does without, and is on record."""

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.realworld.programs import SERVERS, client_environ, python_program, run
from tests.support.ports import free_port
from tests.support.sidelog import Sidelog, eventually

pytestmark = [pytest.mark.realworld, pytest.mark.timeout(300)]


@contextlib.contextmanager
def service(home: Path, port: int = 0) -> Iterator[str]:
    """Run the service; give where it listens."""
    port = port or free_port()
    command = [python_program(), str(SERVERS / "grpc_server.py"), str(port)]
    server = subprocess.Popen(command, cwd=home, env=client_environ(home))
    try:
        eventually(lambda: _listens(port) or server.poll() is not None)
        assert server.poll() is None
        yield f"127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def call_all(target: str, cwd: Path) -> Any:
    """Run the client; return what came of each kind of call."""
    return json.loads(run([python_program(), str(SERVERS / "grpc_client.py"), target], cwd))


def test_every_kind_of_call(tmp_path: Path) -> None:
    """Results, statuses, messages and metadata are those of a direct call; each call is one record."""
    with service(tmp_path) as target:
        direct = call_all(target, tmp_path)
        assert direct["unary"] == "hello"
        assert direct["failure"] == ["INVALID_ARGUMENT", "50 % of ä"]
        with Sidelog(tmp_path / "data", f"http://{target}") as sidelog:
            assert call_all(sidelog.url.removeprefix("http://"), tmp_path) == direct
            ledger = sidelog.settled_ledger()
            records = sidelog.records()
    assert ledger["dropped"] == {}
    paths = Counter(record["path"].rpartition("/")[2] for record in records)
    assert paths == {
        "Echo": 305,
        **dict.fromkeys(("Fail", "Nowhere", "Slow", "Count", "Add", "First", "Chat"), 1),
        "Forever": 1,
    }
    assert {record["http_version"] for record in records} == {"2"}


def test_calls_go_on_behind_a_restart_of_the_service(tmp_path: Path) -> None:
    """What runs when it dies is unavailable; the next call finds it again."""
    port = free_port()
    with Sidelog(tmp_path / "data", f"http://127.0.0.1:{port}") as sidelog:
        for _ in range(2):
            with service(tmp_path, port):
                assert call_all(sidelog.url.removeprefix("http://"), tmp_path)["at once"] is True


def test_calls_go_on_behind_the_death_of_a_worker(tmp_path: Path) -> None:
    """Killed amid streams it loses none of what it recorded, and another serves the next call."""
    with service(tmp_path) as target, Sidelog(tmp_path / "data", f"http://{target}") as sidelog:
        command = [python_program(), str(SERVERS / "grpc_client.py"), sidelog.url.removeprefix("http://"), "hold"]
        client = subprocess.Popen(
            command, cwd=tmp_path, env=client_environ(tmp_path), stdout=subprocess.PIPE, text=True
        )
        eventually(lambda: sidelog.is_in_flight("/test.Service/Forever"))
        for pid in sidelog.pids("proxy.worker"):
            os.kill(pid, signal.SIGKILL)
        assert json.loads(client.communicate(timeout=120)[0])[0] == "UNAVAILABLE"
        assert call_all(sidelog.url.removeprefix("http://"), tmp_path)["at once"] is True
        ledger = sidelog.settled_ledger()
        assert ledger["dropped"] == {}
        outcomes = Counter(record["outcome"] for record in sidelog.records())
        assert outcomes["worker_lost"] == 1
