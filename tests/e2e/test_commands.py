"""The commands that read a running sidelog: query, top, export, tail; piped, as a script would
use them.
"""

import csv
import io
import json
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.support.long import long
from tests.support.programs import PROGRAM_S
from tests.support.sidelog import ROOT, Sidelog, eventually


@pytest.fixture(scope="module")
def sidelog(tmp_path_factory: pytest.TempPathFactory, upstream: str) -> Iterator[Sidelog]:
    """One for all commands, in front of the service."""
    with Sidelog(tmp_path_factory.mktemp("commands") / "data", upstream) as started:
        yield started


def call(sidelog: Sidelog, *arguments: str, code: int = 0) -> str:
    """Run one command; return what it wrote to stdout."""
    done = subprocess.run(
        [sys.executable, "-m", "proxy", *arguments, "--data-dir", str(sidelog.data_dir)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PROGRAM_S,
    )
    assert done.returncode == code, done.stderr
    assert "\x1b" not in done.stdout
    return done.stdout


def fetch(sidelog: Sidelog, path: str) -> None:
    """GET through the proxy, whatever the status."""
    try:
        urllib.request.urlopen(sidelog.url + path, timeout=60).read()
    except urllib.error.HTTPError as error:
        error.read()


@pytest.mark.timeout(900)  # nine programs, one behind the other
def test_records_can_be_searched_counted_and_taken_out(sidelog: Sidelog, tmp_path: Path) -> None:
    """query, top and export agree on the same filter."""
    for number in range(5):
        fetch(sidelog, f"/users/{number}")
    fetch(sidelog, "/status/503")
    sidelog.settled_ledger()
    shown = [
        json.loads(line)
        for line in call(sidelog, "query", "--json", "--status", "5xx").splitlines()
    ]
    assert [record["path"] for record in shown] == ["/status/503"]
    assert "/users/4" in call(sidelog, "query", "--path", "users")
    top = json.loads(call(sidelog, "top", "--by", "status", "--json"))
    assert [(row["value"], row["exchanges"]) for row in top["rows"]] == [("200", 5), ("503", 1)]
    assert "503" in call(sidelog, "top", "--by", "status", "--since", "1h")
    rows = list(csv.DictReader(io.StringIO(call(sidelog, "export", "csv"), newline="")))
    assert [row["status"] for row in rows] == ["200"] * 5 + ["503"]
    assert len(json.loads(call(sidelog, "export", "har", "--status", "2xx"))["log"]["entries"]) == 5
    target = tmp_path / "out.ndjson"
    call(sidelog, "export", "ndjson", "--bodies", "-o", str(target))
    assert [json.loads(line)["seq"] for line in target.read_text().splitlines()] == [
        1,
        2,
        3,
        4,
        5,
        6,
    ]
    call(sidelog, "export", "xml", code=2)
    call(sidelog, "query", "--status", "0xx", code=2)


def test_two_records_can_be_compared(sidelog: Sidelog) -> None:
    """Or one with the last success of its endpoint; the exit code says whether they differ."""
    for path in ("/status/200", "/status/500"):
        fetch(sidelog, path)
    sidelog.settled_ledger()
    ids = [sidelog.records(f"path=/status/{status}")[0]["id"] for status in (200, 500)]
    assert "no differences" in call(sidelog, "compare", ids[0], ids[0])
    said = call(sidelog, "compare", *ids, code=1)
    assert "~ status  200 -> 500" in said
    assert re.search(r"^  duration  [0-9.,]+ ms -> [0-9.,]+ ms$", said, re.M)
    found = json.loads(call(sidelog, "compare", ids[1], "--json", code=1))
    assert [found[side]["id"] for side in "ab"] == ids
    assert not found["equal"]
    call(sidelog, "compare", "no-such-id", ids[0], code=1)
    call(sidelog, "compare", code=2)


def test_tail_survives_a_restart_without_loss(sidelog: Sidelog) -> None:
    """Records from before, during and after a restart are printed, each once, in order."""
    process = subprocess.Popen(
        [sys.executable, "-m", "proxy", "tail", "--json", "--data-dir", str(sidelog.data_dir)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()))
    reader.start()

    try:
        # The stream is open once a record comes through it.
        number = 0
        while not lines:
            fetch(sidelog, f"/before/{number}")
            number += 1
            threading.Event().wait(0.1)

        fetch(sidelog, "/mark")
        eventually(lambda: any("/mark" in line for line in lines))
        sidelog.kill_all()
        sidelog.start()
        for number in range(5):
            fetch(sidelog, f"/after/{number}")
        eventually(lambda: any("/after/4" in line for line in lines))
    finally:
        process.terminate()
        process.wait(60)
        reader.join(60)
        process.stdout.close()
        if process.stderr is not None:
            process.stderr.close()

    seqs = [json.loads(line)["seq"] for line in lines]
    assert seqs == list(range(seqs[0], seqs[-1] + 1))
    paths = [json.loads(line)["path"] for line in lines]
    assert [path for path in paths if path.startswith("/after")] == [
        f"/after/{n}" for n in range(5)
    ]


def test_a_live_list_ends_with_its_reader(sidelog: Sidelog) -> None:
    """`sidelog tail | head -1` is over once head is, though nothing more is recorded; headers are
    among its fields.
    """
    command = [sys.executable, "-m", "proxy", "tail", "--data-dir", str(sidelog.data_dir)]
    command += ["--fields", "path,request_header.connection"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        seen = threading.Event()
        lines: list[bytes] = []

        def read_line(stream: IO[bytes]) -> None:
            lines.append(stream.readline())
            seen.set()

        reader = threading.Thread(target=read_line, args=(process.stdout,))
        reader.start()
        while not seen.wait(0.1):
            fetch(sidelog, "/users/1")
        reader.join()
        assert lines == [b"/users/1  close\n"]
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""


def test_a_start_says_where_everything_is(sidelog: Sidelog, tmp_path: Path, upstream: str) -> None:
    """Addresses, the UI, the data directory, then that it is ready; a log never holds the token."""
    with Sidelog(tmp_path / "data", upstream, "--workers", "0") as single:
        for started in (sidelog, single):
            eventually(lambda: '"ready"' in started.log)  # noqa: B023 — called at once
            first = json.loads(started.log.splitlines()[0])
            assert (first["message"], first["proxy"]) == ("sidelog is starting", started.url)
            assert (first["ui"], first["data_dir"]) == (
                f"{started.admin_url}/",
                str(started.data_dir),
            )
            assert started.token not in started.log


@pytest.mark.parametrize(
    "command",
    [
        "query",
        long("top"),
        "tail",
        long("export csv"),
        long("get x"),
        "health",
        long("token show"),
    ],
)
def test_nothing_running_is_one_clear_line(tmp_path: Path, command: str) -> None:
    """Without a sidelog a command says so, and fails."""
    done = subprocess.run(
        [sys.executable, "-m", "proxy", *command.split(), "--data-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PROGRAM_S,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("sidelog: ")
    assert len(done.stderr.splitlines()) == 1
