"""SIGHUP puts new settings into force without a lost connection, answer or record; wrong ones
change nothing.
"""

import http.client
import json
import os
import re
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_processes import Request, is_alive, stored
from tests.support.http2_load import Http2Load
from tests.support.load import PAUSE_S, Load, NewConnections, await_more
from tests.support.sidelog import Sidelog, eventually


def hang_up(sidelog: Sidelog) -> None:
    """Ask for a reload."""
    assert sidelog.process is not None
    os.kill(sidelog.process.pid, signal.SIGHUP)


def reload(sidelog: Sidelog) -> None:
    """Reload, and wait until workers and collector are new ones and ready."""
    collector = sidelog.pids("proxy.collector")
    reloads = sidelog.log.count('"message": "reloaded')
    hang_up(sidelog)
    eventually(lambda: sidelog.log.count('"message": "reloaded') > reloads)
    eventually(
        lambda: sidelog.pids("proxy.collector") not in (collector, []) and sidelog.is_ready()
    )


def answered(sidelog: Sidelog) -> int:
    """Ask once; the status."""
    request = Request(sidelog.port, "/x")
    request.join()
    return request.status


def write(path: Path, text: str) -> Path:
    """Replace the configuration."""
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "reloads", [1, pytest.param(100, marks=[pytest.mark.long, pytest.mark.timeout(3600)])]
)
def test_under_load_nothing_is_lost(tmp_path: Path, upstream: str, reloads: int) -> None:
    """Connections, kept and new, and streams go on over all reloads without one error; each
    exchange is stored once.
    """
    config = write(tmp_path / "c.toml", "")
    with Sidelog(tmp_path / "data", upstream, "--workers", "2", "--config", str(config)) as sidelog:
        with (
            Load(sidelog.port, pause_s=PAUSE_S) as kept,
            NewConnections(sidelog.port, 2, pause_s=PAUSE_S) as new,
            Http2Load(sidelog.port, 2, pause_s=PAUSE_S) as streams,
        ):
            for number in range(reloads):
                write(config, f'[proxy]\nstage = "s{number}"\n')
                await_more(kept.completed, 50)
                reload(sidelog)
                await_more(kept.completed, 50)
                await_more(new.completed, 20)
                await_more(streams.completed, 80)

        assert (kept.errors, new.errors, streams.errors) == (0, [], [])
        completed = kept.completed + new.completed + streams.completed
        ledger = stored(sidelog, completed)
        assert ledger["dropped"] == {}
        assert len(completed) == len(sidelog.records())
        assert {record["stage"] for record in sidelog.records()} >= {
            f"s{number}" for number in range(reloads)
        }
        assert "restarting it" not in sidelog.log
        eventually(lambda: len(sidelog.pids("proxy.worker")) == 2)  # none of before is left


@pytest.fixture(scope="module")
def configured(
    tmp_path_factory: pytest.TempPathFactory, upstream: str
) -> Iterator[tuple[Sidelog, Path]]:
    """One that is running, and its configuration, which each test writes anew."""
    directory = tmp_path_factory.mktemp("configured")
    config = write(directory / "c.toml", "")
    with Sidelog(directory / "data", upstream, "--config", str(config)) as sidelog:
        yield sidelog, config


def test_new_settings_reach_every_process(configured: tuple[Sidelog, Path], upstream: str) -> None:
    """Routes and redaction are the new ones, a token that is new opens the admin port, a log level
    is obeyed.
    """
    sidelog, config = configured
    write(
        config,
        f'[[routes]]\nid = "late"\npath = "/late/"\nupstream = "{upstream}"\n'
        '[redact]\njson_keys = ["nickname"]\n[[tokens]]\nname = "t"\ntoken = '
        '"t0ken-t0ken-t0ken-t0ken"\n',
    )
    reload(sidelog)
    connection = http.client.HTTPConnection("127.0.0.1", sidelog.port, timeout=60)
    connection.request(
        "POST", "/late/x", b'{"nickname": "bob"}', {"Content-Type": "application/json"}
    )
    connection.getresponse().read()
    connection.close()
    sidelog.settled_ledger()
    (record,) = sidelog.records("path=/late/x")
    assert record["route_id"] == "late"
    assert "bob" not in json.dumps(sidelog.api(f"/api/records/{record['id']}")["request"])
    admin = http.client.HTTPConnection("127.0.0.1", sidelog.admin_port, timeout=60)
    admin.request(
        "GET", "/api/records", headers={"Authorization": "Bearer t0ken-t0ken-t0ken-t0ken"}
    )
    assert admin.getresponse().status == 200
    admin.close()


def test_counters_of_the_data_plane_go_on(configured: tuple[Sidelog, Path]) -> None:
    """Over reloads, and when a collector is killed, `/metrics` counts the requests of workers that
    are gone.
    """
    sidelog, _ = configured

    def requests() -> int:
        text = urllib.request.urlopen(f"{sidelog.admin_url}/metrics", timeout=60).read().decode()
        return sum(
            int(float(count))
            for count in re.findall(r"^sidelog_requests_total{.*} (\S+)", text, re.MULTILINE)
        )

    def request_and_reload(counted: int) -> None:
        assert answered(sidelog) == 200
        eventually(lambda: requests() == counted)
        reload(sidelog)
        eventually(lambda: len(sidelog.api("/api/status")["rings"]) == 1)
        assert requests() == counted

    before = requests()
    request_and_reload(before + 1)
    request_and_reload(before + 2)
    (collector,) = sidelog.pids("proxy.collector")
    os.kill(collector, signal.SIGKILL)
    eventually(
        lambda: sidelog.pids("proxy.collector") not in ([collector], []) and sidelog.is_ready()
    )
    assert requests() == before + 2


def test_wrong_settings_are_one_line_and_change_nothing(configured: tuple[Sidelog, Path]) -> None:
    """Every problem is in one line of the log; processes and settings stay."""
    sidelog, config = configured
    before = sidelog.pids("proxy.worker") + sidelog.pids("proxy.collector")
    write(config, '[proxy]\nnope = 1\n[storage]\nurl = "oracle://x"\n')
    hang_up(sidelog)
    line = eventually(
        lambda: [text for text in sidelog.log.splitlines() if "invalid configuration" in text]
    )
    assert len(line) == 1
    assert "proxy.nope: unknown setting" in line[0]
    assert "unknown store 'oracle'" in line[0]
    assert sidelog.pids("proxy.worker") + sidelog.pids("proxy.collector") == before
    config.unlink()
    hang_up(sidelog)
    eventually(lambda: "cannot read the configuration file" in sidelog.log)
    assert sidelog.pids("proxy.worker") + sidelog.pids("proxy.collector") == before


def test_a_configuration_that_does_not_end_blocks_no_other(
    configured: tuple[Sidelog, Path],
) -> None:
    """A pipe that nothing writes to is given up with a line that says so, and the next reload
    works.
    """
    sidelog, config = configured
    config.unlink(missing_ok=True)
    os.mkfifo(config)
    hang_up(sidelog)
    (line,) = eventually(
        lambda: [text for text in sidelog.log.splitlines() if "not read to its end" in text]
    )
    assert "keeping the current settings" in line
    assert str(config) in line
    config.unlink()
    write(config, "")
    reload(sidelog)


def test_what_needs_a_restart_is_named_and_stays(configured: tuple[Sidelog, Path]) -> None:
    """Ports, processes and the store stay, the rest of the same file comes into force."""
    sidelog, config = configured
    write(
        config,
        '[proxy]\nworkers = 3\nstage = "new"\n[storage]\nurl = "memory:"\n[ring]\nbytes = '
        "4194304\n",
    )
    reload(sidelog)
    (line,) = [text for text in sidelog.log.splitlines() if "only with a restart" in text]
    assert "proxy.workers, storage.url" in line
    assert answered(sidelog) == 200
    sidelog.settled_ledger()
    assert sidelog.records()[0]["stage"] == "new"


class ByItsFile(Sidelog):
    """One whose admin port is in its configuration alone."""

    def __init__(self, data_dir: Path, upstream: str, config: Path) -> None:
        """Prepare one whose admin port anybody can reach, with a token."""
        super().__init__(data_dir, upstream, "--config", str(config))
        at = self._command.index("--admin-listen")
        del self._command[at : at + 2]
        self._config = config
        self.configure("0.0.0.0", "token")

    def configure(self, host: str, auth: str) -> None:
        """Write the configuration anew."""
        write(self._config, f'[admin]\nlisten = "{host}:{self.admin_port}"\nauth = "{auth}"\n')


def test_an_address_that_stays_keeps_its_authentication(tmp_path: Path, upstream: str) -> None:
    """What is safe only on an address that a reload does not take is refused, and with it the whole
    reload.
    """
    with ByItsFile(tmp_path / "data", upstream, tmp_path / "c.toml") as sidelog:
        before = sidelog.pids("proxy.worker") + sidelog.pids("proxy.collector")
        sidelog.configure("127.0.0.1", "off")
        hang_up(sidelog)
        told = ("invalid configuration", '"message": "reloaded')
        (line,) = eventually(
            lambda: [
                text for text in sidelog.log.splitlines() if any(words in text for words in told)
            ]
        )
        assert "admin.auth: `off` is accepted only on a loopback address" in line
        assert "admin.listen: changes only with a restart" in line
        admin = http.client.HTTPConnection("127.0.0.1", sidelog.admin_port, timeout=60)
        admin.request("GET", "/api/records")
        assert admin.getresponse().status == 401
        admin.close()
        assert sidelog.pids("proxy.worker") + sidelog.pids("proxy.collector") == before


def test_clients_of_before_are_served_to_their_end(configured: tuple[Sidelog, Path]) -> None:
    """A long answer, and a connection that was idle, belong to the old worker; it ends when they
    have.
    """
    sidelog, config = configured
    write(config, "")
    (old,) = eventually(lambda: pids if len(pids := sidelog.pids("proxy.worker")) == 1 else None)
    slow = Request(sidelog.port, "/slow?s=4")

    with socket.create_connection(("127.0.0.1", sidelog.port), timeout=60) as idle:
        idle.sendall(b"GET /idle HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"onnection: close" not in idle.recv(65536)
        reload(sidelog)
        assert is_alive(old)
        idle.sendall(b"GET /idle HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"Connection: close" in idle.recv(65536)

    slow.join()
    assert slow.status == 200
    eventually(lambda: not is_alive(old))
    assert stored(sidelog, [])["dropped"] == {}


@pytest.mark.long
def test_a_stop_within_a_reload_empties_the_rings(tmp_path: Path, upstream: str) -> None:
    """The collector leaves them to the next one, which has not been started yet: it is started for
    that.
    """
    (tmp_path / "rings").mkdir()
    config = write(
        tmp_path / "c.toml", f'[ring]\ndirectory = "{tmp_path / "rings"}"\nbytes = 1048576\n'
    )
    with Sidelog(tmp_path / "data", upstream, "--config", str(config)) as sidelog:
        with Load(sidelog.port, pause_s=PAUSE_S) as load:
            await_more(load.completed, 50)
            hang_up(sidelog)
            sidelog.await_log('"message": "reloaded')
            assert sidelog.process is not None
            sidelog.process.send_signal(signal.SIGTERM)
            assert sidelog.process.wait(150) == 0, sidelog.log
            sidelog.process = None

        assert not list((tmp_path / "rings").rglob("*.ring"))
        assert '"message": "stopped"' in sidelog.log
        sidelog.start()
        stored(sidelog, load.completed)
