"""The doctor on who reads the log of a sidelog that runs: of a process that holds the lock, and writes."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec
import pytest

from proxy.cli.commands.doctor.finding import Finding
from proxy.cli.commands.doctor.output_readers import check_log
from proxy.settings.model import Settings
from tests.support.sidelog import ROOT, eventually

pytestmark = pytest.mark.skipif(not Path("/proc/locks").exists(), reason="this kernel does not say who holds locks")

HOLDER = """
import contextlib, os, sys
from pathlib import Path
from proxy.process.data_dir import lock_data_dir
held = lock_data_dir(Path(sys.argv[1]))
if sys.argv[2] == "full":
    os.set_blocking(2, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(2, b"x" * 4096)
Path(sys.argv[1], "is-held").touch()
sys.stdin.read()
"""


@contextlib.contextmanager
def holding(settings: Settings, stderr: int | IO[bytes], how: str = "idle") -> Iterator[subprocess.Popen[bytes]]:
    """A process that has the lock of the data directory, and this for its log."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, settings.data_dir, how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        eventually(lambda: Path(settings.data_dir, "is-held").exists())
        yield holder
    finally:
        holder.kill()
        holder.communicate()


def log_of(settings: Settings) -> Finding:
    """What is said of the log."""
    (finding,) = check_log(settings)
    return finding


def test_nothing_is_said_of_a_sidelog_that_does_not_run(settings: Settings) -> None:
    """Neither before the first start nor behind a stop."""
    assert list(check_log(settings)) == []
    with holding(settings, subprocess.DEVNULL):
        assert len(list(check_log(settings))) == 1
    assert list(check_log(settings)) == []


def test_a_log_that_goes_somewhere_is_in_order(settings: Settings, tmp_path: Path) -> None:
    """A file has no reader, and a pipe has one while it takes."""
    with (tmp_path / "log").open("wb") as file, holding(settings, file):
        assert log_of(settings) == Finding("ok", "log", f"goes to {tmp_path}/log")
    Path(settings.data_dir, "is-held").unlink()
    with holding(settings, subprocess.PIPE):
        assert log_of(settings) == Finding("ok", "log", "goes to a pipe that is read")


def test_a_log_that_is_thrown_away_is_told(settings: Settings) -> None:
    """Nobody will know what it said."""
    with holding(settings, subprocess.DEVNULL):
        finding = log_of(settings)
    assert (finding.state, "goes to /dev/null" in finding.text) == ("warn", True)


def test_a_log_whose_pipe_is_full_is_told(settings: Settings) -> None:
    """The reader is there, and takes nothing."""
    with holding(settings, subprocess.PIPE, "full"):
        finding = log_of(settings)
    assert (finding.state, "full pipe whose reader does not read" in finding.text) == ("warn", True)


def test_a_log_whose_reader_has_ended_is_told(settings: Settings) -> None:
    """Its pipe is still there, and takes nothing any more."""
    with holding(settings, subprocess.PIPE) as holder:
        assert holder.stderr is not None
        holder.stderr.close()
        holder.stderr = None
        finding = log_of(settings)
    assert (finding.state, "whose reader has ended" in finding.text) == ("warn", True)


@pytest.mark.parametrize(("access", "expected"), [("off", ["log"]), ("json", ["log", "access log"])])
def test_stdout_is_looked_at_where_there_is_an_access_log(settings: Settings, access: str, expected: list[str]) -> None:
    """Otherwise nothing is written there."""
    log = msgspec.structs.replace(settings.log, access=access)
    with holding(settings, subprocess.DEVNULL):
        found = list(check_log(msgspec.structs.replace(settings, log=log)))
    assert [finding.name for finding in found] == expected
