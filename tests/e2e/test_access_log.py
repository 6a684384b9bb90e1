"""The access log of whole runs: a line per exchange on stdout, whoever stores them, and whatever
stdout does.
"""

import json
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.test_processes import Request
from tests.support.long import long
from tests.support.sidelog import Sidelog, await_pids, eventually


def get(sidelog: Sidelog, target: str) -> int:
    """GET through the data port; the status."""
    request = urllib.request.Request(sidelog.url + target, headers={"User-Agent": "probe"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            response.read()
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.read()
        return error.code


@pytest.mark.parametrize("workers", [long("0"), "2"])
def test_every_exchange_is_one_line_on_stdout(tmp_path: Path, upstream: str, workers: str) -> None:
    """JSON lines with the ids of the records, redacted, and nothing else on stdout."""
    out = tmp_path / "out"
    sidelog = Sidelog(
        tmp_path / "data", upstream, "--workers", workers, environ={"SIDELOG_LOG__ACCESS": "json"}
    )
    with out.open("wb") as file:
        sidelog.stdout = file.fileno()
        with sidelog:
            statuses = [get(sidelog, f"/{number}?token=s3cret-value") for number in range(5)]
            statuses.append(get(sidelog, "/status/404"))
            eventually(lambda: out.read_bytes().count(b"\n") == 6)
            sidelog.settled_ledger()
            records = sidelog.records()
            with urllib.request.urlopen(sidelog.admin_url + "/metrics") as response:
                assert b"sidelog_access_log_dropped_total 0.0" in response.read()

    lines = sorted(
        (json.loads(line) for line in out.read_text().splitlines()), key=lambda line: line["time"]
    )
    assert [line["status"] for line in lines] == statuses == [200] * 5 + [404]
    assert {line["id"] for line in lines} == {record["id"] for record in records}
    assert (lines[0]["path"], lines[0]["query"], lines[0]["user_agent"]) == (
        "/0",
        "token=[REDACTED]",
        "probe",
    )
    assert "s3cret" not in out.read_text()


def test_a_stdout_without_reader_harms_nothing(tmp_path: Path, upstream: str) -> None:
    """The pipe's reader is gone: exchanges are answered and stored, lost lines are counted, the
    stop is in order.
    """
    read_end, write_end = os.pipe()
    sidelog = Sidelog(tmp_path / "data", upstream, environ={"SIDELOG_LOG__ACCESS": "common"})
    sidelog.stdout = write_end

    with sidelog:
        os.close(write_end)
        assert get(sidelog, "/before") == 200
        assert b'"GET /before HTTP/1.1" 200 ' in os.read(read_end, 65536)
        os.close(read_end)
        for _ in range(3):
            assert get(sidelog, "/after") == 200
        assert sidelog.settled_ledger()["stored"] == 4

        def has_counted() -> bool:
            with urllib.request.urlopen(sidelog.admin_url + "/metrics") as response:
                return b"sidelog_access_log_dropped_total 3.0" in response.read()

        eventually(has_counted)
        sidelog.await_log("lines of the access log are lost: broken pipe")


def test_lines_go_on_over_a_reload_and_tell_of_lost_exchanges(
    tmp_path: Path, upstream: str
) -> None:
    """The form changes with SIGHUP; what a killed worker left unfinished has a line, too."""
    config = tmp_path / "c.toml"
    out = tmp_path / "out"
    config.write_text('[log]\naccess = "common"\n')
    sidelog = Sidelog(tmp_path / "data", upstream, "--config", str(config))

    with out.open("ab") as file:
        sidelog.stdout = file.fileno()
        with sidelog:
            assert get(sidelog, "/old") == 200
            eventually(lambda: '"GET /old HTTP/1.1" 200' in out.read_text())
            config.write_text('[log]\naccess = "json"\n')
            assert sidelog.process is not None
            (collector,) = sidelog.pids("proxy.collector")
            os.kill(sidelog.process.pid, signal.SIGHUP)
            eventually(
                lambda: (
                    sidelog.pids("proxy.collector") not in ([collector], []) and sidelog.is_ready()
                )
            )
            slow = Request(sidelog.port, "/slow?s=50")
            eventually(lambda: sidelog.is_in_flight("/slow"))
            for pid in await_pids(sidelog, "proxy.worker"):
                os.kill(pid, signal.SIGKILL)
            eventually(lambda: '"outcome":"worker_lost"' in out.read_text())
            slow.join()

    assert [json.loads(line)["path"] for line in out.read_text().splitlines()[1:]] == ["/slow"]
