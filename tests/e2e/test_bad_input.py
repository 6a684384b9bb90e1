"""Wrong settings, taken ports and stores that cannot be used: told in one line, and nothing breaks."""

import json
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.load import Load, await_more
from tests.support.long import long
from tests.support.ports import free_port
from tests.support.programs import PROGRAM_S
from tests.support.sidelog import ROOT, Sidelog, eventually

NOWHERE = "http://127.0.0.1:9"


def command(data_dir: Path, *arguments: str) -> list[str]:
    """A `sidelog serve` on free ports."""
    return [
        *(
            sys.executable,
            "-m",
            "proxy",
            "serve",
            "--upstream",
            NOWHERE,
            "--data-dir",
            str(data_dir),
        ),
        *(
            "--listen",
            f"127.0.0.1:{free_port()}",
            "--admin-listen",
            f"127.0.0.1:{free_port()}",
            *arguments,
        ),
    ]


def refusal(
    data_dir: Path, *arguments: str, environ: dict[str, str] | None = None
) -> tuple[int, list[str]]:
    """Start a sidelog that must end by itself; return its exit code and what it said beside notes
    of level info.
    """
    ended = subprocess.run(
        command(data_dir, *arguments),
        cwd=ROOT,
        env={**os.environ, "SIDELOG_RING__BYTES": str(1 << 20), **(environ or {})},
        capture_output=True,
        text=True,
        timeout=PROGRAM_S,
        check=False,
    )
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    return ended.returncode, [
        line for line in ended.stderr.splitlines() if '"level": "info"' not in line
    ]


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_every_wrong_setting_is_named_at_once(tmp_path: Path) -> None:
    """Unknown keys, wrong types and a bad URL each have a line that says where it stands; the code
    is 2.
    """
    config = tmp_path / "sidelog.toml"
    config.write_text('[proxy]\nwrokers = 2\nworkers = "many"\n[storage]\nqueue_max_bytes = 0\n')
    code, lines = refusal(
        tmp_path / "data", "--config", str(config), "--upstream", "ftp://elsewhere"
    )
    assert code == 2
    text = "\n".join(lines)
    assert "proxy.wrokers: unknown setting" in text
    assert f"({config}:2)" in text
    assert f"({config}:3)" in text
    assert f"({config}:5)" in text
    assert "got 'ftp://elsewhere' (--upstream)" in text
    assert len(lines) == 4
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("flag", ["--listen", "--admin-listen"])
@pytest.mark.parametrize("workers", [long("0"), "1"])
def test_a_taken_port_is_named_with_its_flag(
    tmp_path: Path, taken_port: int, flag: str, workers: str
) -> None:
    """One line: the address, why, and which flag changes it."""
    code, (line,) = refusal(
        tmp_path / "data", "--workers", workers, flag, f"127.0.0.1:{taken_port}"
    )
    assert code == 1
    assert line.startswith(
        f"sidelog: cannot listen on 127.0.0.1:{taken_port}: address already in use"
    )
    assert line.endswith(f"choose another address with {flag}")


@contextmanager
def started(data_dir: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Start a sidelog whose stderr is read; it is killed if the test has not ended it."""
    rings = data_dir.with_name("rings")
    rings.mkdir()

    environ = {
        **os.environ,
        "SIDELOG_RING__BYTES": str(1 << 20),
        "SIDELOG_RING__DIRECTORY": str(rings),
    }
    with subprocess.Popen(
        command(data_dir, *arguments), cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def await_error(process: "subprocess.Popen[str]", text: str) -> None:
    """Read what a sidelog says until an error has this text; a slow start may tell of others
    before.
    """
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if (note := json.loads(line))["level"] == "error" and text in note["message"]:
            return

    raise AssertionError(said)


def end(process: "subprocess.Popen[str]") -> str:
    """Stop a sidelog in order; return what else it said."""
    assert process.stderr is not None
    process.send_signal(signal.SIGTERM)
    rest = process.stderr.read()
    assert process.wait(60) == 0
    return rest


@pytest.mark.parametrize("workers", [long("0"), "1"])
def test_a_store_of_a_newer_layout_is_left_untouched(tmp_path: Path, workers: str) -> None:
    """What this version cannot read is told as an error, the file stays as it was, and the start
    goes on without it.
    """
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    store = sqlite3.connect(data_dir / "sidelog.db")
    store.execute("PRAGMA user_version = 999")
    store.close()
    before = (data_dir / "sidelog.db").read_bytes()
    with started(data_dir, "--workers", workers) as process:
        await_error(process, "written by a newer sidelog (layout 999, ")
        end(process)
    assert (data_dir / "sidelog.db").read_bytes() == before


@pytest.mark.parametrize("workers", [long("0"), "1"])
def test_a_store_that_cannot_be_opened_is_waited_for(tmp_path: Path, workers: str) -> None:
    """It is asked again every two seconds; a SIGTERM meanwhile ends the wait at once and in order:
    nothing is lost.
    """
    (tmp_path / "file").write_text("")
    url = f"sqlite:///{tmp_path}/file/sidelog.db"
    with started(tmp_path / "data", "--storage", url, "--workers", workers) as process:
        await_error(process, "the store is unavailable, retrying every 2 s: sqlite: ")
        rest = end(process)
    assert "Traceback" not in rest


def test_a_full_disk_delays_records_and_nothing_else(tmp_path: Path, upstream: str) -> None:
    """While the store's file cannot grow, requests are answered and readiness says degraded; then
    all is stored.
    """
    with Sidelog(tmp_path / "data", upstream) as sidelog:
        (collector,) = sidelog.pids("proxy.collector")
        largest = max(file.stat().st_size for file in sidelog.data_dir.iterdir())
        unlimited = resource.prlimit(collector, resource.RLIMIT_FSIZE)
        resource.prlimit(collector, resource.RLIMIT_FSIZE, (largest + 4096, unlimited[1]))
        with Load(sidelog.port) as load:
            eventually(lambda: _readiness(sidelog)["degraded"])
            await_more(load.completed, 100)
        assert load.errors == 0
        assert sidelog.api("/api/ledger")["waiting"] > 0
        resource.prlimit(collector, resource.RLIMIT_FSIZE, unlimited)
        ledger = sidelog.settled_ledger()
        assert (ledger["stored"], ledger["dropped"]) == (len(load.completed), {})
        assert _readiness(sidelog)["degraded"] is False


def _readiness(sidelog: Sidelog) -> dict[str, object]:
    with urllib.request.urlopen(
        f"http://127.0.0.1:{sidelog.admin_port}/readyz", timeout=60
    ) as response:
        answer: dict[str, object] = json.load(response)
    return answer
