"""Fixtures of tests of the command line."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from _pytest.capture import CaptureResult

from proxy.cli import app
from proxy.cli.commands import store as stored
from proxy.cli.commands.doctor import doctor, network, store

Run = Callable[..., CaptureResult[str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command as it is typed, and further arguments as they are; return what it printed."""

    def run_command(command: str = "", *arguments: object, code: int = 0) -> CaptureResult[str]:
        capsys.readouterr()
        ended = app.main([*shlex.split(command), *map(str, arguments)])
        printed = capsys.readouterr()
        assert ended == code, printed
        return printed

    return run_command


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and an environment without our variables."""
    for name in list(os.environ):
        if name.startswith("SIDELOG_") or name == "STATE_DIRECTORY":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the doctor's checks has its say, however busy the machine is: a late one would end
    the tests' process.

    A served store also gets its time to close.
    """
    monkeypatch.setattr(doctor.run_checks, "__defaults__", (60.0,))
    monkeypatch.setattr(network, "CONNECT_S", 60.0)
    monkeypatch.setattr(store, "SQLITE_CHECK_S", 60.0)
    monkeypatch.setattr(stored, "_STOP_S", 60.0)
