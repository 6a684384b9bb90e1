"""The demo: it shows what guides ask for, says where everything is, and leaves nothing behind."""

import random
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from examples import demo
from tests.support.here import run_here
from tests.support.ports import free_port
from tests.support.programs import PROGRAM_S
from tests.support.sidelog import ROOT, Sidelog, eventually

WANTED = (
    "status:5xx",
    "method:POST status:400",
    "context_length_exceeded",
    "cost:>2",
    "provider:openai status:429",
    "provider:anthropic tokens:>100",
    "tool_error:restart_service",
    "grpc_status:NOT_FOUND",
    "path:/shop.Stock/Watch grpc_status:OK",
    "path:/api/events",
    "outcome:client_closed",
    "status:101",
)
"""Searches of README and guides that find something."""


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start the demo with some arguments."""
    command = [sys.executable, "-m", "examples.demo", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], end: str) -> str:
    """Read what the demo prints until a text comes."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if end in line:
            return "".join(lines)

    assert process.stderr is not None
    raise AssertionError(f"the demo ended: {process.stderr.read()}")


def found(data_dir: Path, query: str) -> str:
    """Search the records of a directory."""
    _, out, _ = run_here("query", query, "--json", "--limit", "1", "--data-dir", str(data_dir))
    return out


def addresses(data_dir: Path) -> list[str]:
    """Free addresses and a directory, as arguments."""
    names = ("--listen", "--admin-listen")
    flags = [word for name in names for word in (name, f"127.0.0.1:{free_port()}")]
    return [*flags, "--data-dir", str(data_dir)]


async def test_its_visits_show_what_guides_ask_for(tmp_path: Path) -> None:
    """Each search finds a record once all visits were made."""
    async with demo.serving() as port:
        with Sidelog(tmp_path / "data", f"http://127.0.0.1:{port}") as sidelog:
            draw = random.Random(1)
            for visit in demo.VISITS:
                for _ in range(8):
                    await demo.make(sidelog.url, draw, visit)
            sidelog.settled_ledger()

            assert [query for query in WANTED if not found(sidelog.data_dir, query)] == []


def test_one_endpoint_becomes_slower_and_one_faster() -> None:
    """Minute by minute, within bounds."""
    search, report = (
        [demo.delay_s(name, minutes) for minutes in range(6)] for name in ("search", "report")
    )
    assert search == sorted(set(search))
    assert report == sorted(set(report), reverse=True)
    assert (demo.delay_s("search", 1e6), demo.delay_s("report", 1e6)) == (2.0, 0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_takes_everything_down(tmp_path: Path, number: signal.Signals) -> None:
    """The welcome names the proxy and the UI, traffic comes, and no process stays."""
    arguments = addresses(tmp_path / "data")
    with running(*arguments) as process:
        text = read_until(process, "Ctrl-C")
        assert f"http://{arguments[1]}   in front of http://127.0.0.1:" in text
        assert re.search(r"http://\S+/login#token=\S+", text)
        eventually(lambda: found(tmp_path / "data", "path:/v1/messages"))
        process.send_signal(number)
        process.communicate(timeout=PROGRAM_S)  # returns once nobody holds the pipes any more
        assert process.returncode == (-number if number == signal.SIGKILL else 0)


@pytest.mark.parametrize("taken", [1, 3])
def test_a_taken_port_is_one_line_and_gets_nothing(tmp_path: Path, taken: int) -> None:
    """Neither traffic nor the token goes to the other program."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        arguments = addresses(tmp_path / "data")
        arguments[taken] = f"127.0.0.1:{other.getsockname()[1]}"
        with running(*arguments) as process:
            out, errors = process.communicate(timeout=PROGRAM_S)
        assert (process.returncode, out) == (1, "")
        assert f"cannot listen on {arguments[taken]}: address already in use" in errors
        assert errors.count("\n") == 1
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()


def test_its_service_runs_alone() -> None:
    """As compose starts it: the first line is the port, and `/` lists what there is."""
    with running("--only-upstream", "127.0.0.1:0") as process:
        port = int(read_until(process, "\n"))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PROGRAM_S) as answer:
            assert b"POST /v1/messages" in answer.read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PROGRAM_S) == 0
