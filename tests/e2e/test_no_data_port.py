"""A sidelog without a data port shows what others record in the store they share, and stays out of
everybody's way.
"""

import asyncio
import json
import os
import signal
import socket
import urllib.request
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_reload import reload
from tests.support import clickhouse, postgres
from tests.support.ports import free_port
from tests.support.sidelog import Sidelog, await_pids, eventually


class Viewer(Sidelog):
    """One that only shows."""

    def __init__(self, data_dir: Path, url: str, *arguments: str) -> None:
        """Prepare one over a store; its health port is `health_port`."""
        self.health_port = free_port()
        environ = {
            "SIDELOG_STORAGE__URL": url,
            "SIDELOG_ADMIN__HEALTH_LISTEN": f"127.0.0.1:{self.health_port}",
        }
        super().__init__(data_dir, "", *arguments, environ=environ)
        at = self._command.index("--upstream")
        self._command[at : at + 2] = ["--no-data-port"]

    def is_ready(self) -> bool:
        """Whether /readyz says so."""
        try:
            return bool(self.ready_answer()["ready"])
        except OSError:
            return False

    def health(self) -> dict[str, Any]:
        """What the supervisor answers."""
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.health_port}/readyz", timeout=60
        ) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


def ask(sidelog: Sidelog, path: str) -> str:
    """Ask once; returns the id of the record, once it is stored."""
    with urllib.request.urlopen(sidelog.url + path, timeout=60) as response:
        response.read()
        record = str(response.headers["X-Sidelog-Id"])
    sidelog.settled_ledger()
    return record


@pytest.fixture(params=["postgres", pytest.param("clickhouse", marks=pytest.mark.clickhouse)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store that several may use."""
    if request.param == "clickhouse":
        return clickhouse.url("debian", tmp_path)
    return asyncio.run(postgres.database(tmp_path))


def writer(directory: Path, upstream: str, url: str) -> Sidelog:
    """A sidelog that records into a store, and keeps all of it."""
    environ = {"SIDELOG_STORAGE__URL": url, "SIDELOG_RETENTION__MAX_BYTES": "0"}
    return Sidelog(directory / "writes", upstream, environ=environ)


def test_what_others_record_is_shown(tmp_path: Path, upstream: str, url: str) -> None:
    """Lists, single records, figures and keys are those of the store; ports, workers and rings
    there are none.
    """
    writes = writer(tmp_path, upstream, url)
    with writes, Viewer(tmp_path / "shows", url) as shows:
        record = ask(writes, "/seen")
        assert [found["path"] for found in shows.records()] == ["/seen"]
        assert shows.api(f"/api/records/{record}")["path"] == "/seen"
        assert shows.ready_answer() == {
            "ready": True,
            "draining": False,
            "degraded": False,
            "data_port": False,
        }
        assert shows.health() == {
            "ready": True,
            "draining": False,
            "collector_ready": True,
            "data_port": False,
        }
        status = shows.api("/api/status")
        assert (status["workers"], status["rings"]) == ([], [])
        assert status["configuration"]["retention"]["max_bytes"] == 0
        assert shows.api("/api/ledger")["received"] == 0
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", shows.port)) != 0
        with urllib.request.urlopen(f"{shows.admin_url}/metrics", timeout=60) as answer:
            metrics = answer.read().decode()
        assert "sidelog_ring_capacity_bytes 0.0" in metrics
        assert "sidelog_storage_up 1.0" in metrics


def test_streams_follow_the_writers(tmp_path: Path, upstream: str, url: str) -> None:
    """Whoever follows it sees what another sidecar commits later."""
    writes = writer(tmp_path, upstream, url)
    with writes, Viewer(tmp_path / "shows", url) as shows:
        eventually(lambda: not shows.ready_answer().get("away"))
        stream = HTTPConnection("127.0.0.1", shows.admin_port, timeout=60)
        stream.request(
            "GET", "/api/records/stream", headers={"Authorization": f"Bearer {shows.token}"}
        )
        answer = stream.getresponse()
        assert answer.status == 200
        record = ask(writes, "/followed")
        while record not in (line := answer.readline().decode()):
            assert line
        stream.close()


def test_it_is_restarted_and_reloaded_like_any_other(tmp_path: Path) -> None:
    """A killed collector comes back, new settings take effect, and the stop is clean."""
    config = tmp_path / "c.toml"
    config.write_text("")
    with Viewer(tmp_path / "shows", "sqlite:///sidelog.db", "--config", str(config)) as shows:
        (collector,) = await_pids(shows, "proxy.collector")
        os.kill(collector, signal.SIGKILL)
        eventually(
            lambda: shows.pids("proxy.collector") not in ([], [collector]) and shows.is_ready()
        )
        config.write_text('[proxy]\nstage = "new"\n')
        reload(shows)
        assert shows.api("/api/status")["configuration"]["proxy"]["stage"] == "new"
        assert shows.pids("proxy.worker") == []
