"""The greeting has all addresses."""

import shlex
import sys
from pathlib import Path

import pytest

from proxy.cli.welcome import own_program, url_of, welcome
from tests.support.cases import each_of


@each_of(
    ("address", "url"),
    [
        ("127.0.0.1:80", "http://127.0.0.1:80"),
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        (":80", "http://127.0.0.1:80"),
        ("[::]:80", "http://[::1]:80"),
        ("box.example:80", "http://box.example:80"),
    ],
)
def test_urls_lead_to_where_this_machine_can_reach_it(address: str, url: str) -> None:
    """A wildcard address becomes loopback."""
    assert url_of(address) == url


def test_the_commands_to_try_survive_a_strange_directory(tmp_path: Path) -> None:
    """A directory that commands would not find by themselves is named, quoted for a shell."""
    directory = tmp_path / "it's here"
    text = welcome("an app", "127.0.0.1:1", "127.0.0.1:2", directory, "t0ken")
    command = next(line for line in text.splitlines() if "query" in line)
    assert shlex.split(command)[1:] == ["query", "--since", "5m", "--data-dir", str(directory)]


def test_commands_find_the_usual_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a command finds the records of the demo, or own ones, nothing is to be typed for it."""
    monkeypatch.chdir(tmp_path)
    for name in ("sidelog-data", "sidelog-demo"):
        assert "--data-dir" not in welcome(
            "an app", "127.0.0.1:1", "127.0.0.1:2", tmp_path / name, "t0ken"
        )


def test_the_program_is_named_as_a_shell_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its path behind `make run`, whose environment is not on the search path; by its name where
    that is found.
    """
    program = tmp_path / ".venv" / "bin" / "sidelog"
    program.parent.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(program.with_name("python")))
    assert own_program() == "sidelog"
    program.touch(mode=0o755)
    assert own_program() == ".venv/bin/sidelog"
    monkeypatch.setenv("PATH", str(program.parent))
    assert own_program() == "sidelog"


def test_a_unix_socket_is_asked_by_its_path(tmp_path: Path) -> None:
    """No other machine reaches it."""
    text = welcome("an app", "unix:///run/my app/p.sock", "127.0.0.1:2", tmp_path, "t0ken")
    assert (
        "proxy    unix:///run/my app/p.sock   in front of an app\n           this machine only"
        in text
    )
    assert "curl --unix-socket '/run/my app/p.sock' http://localhost/\n" in text


@pytest.mark.parametrize(
    ("listen", "said"),
    [
        ("127.0.0.1:1", "LISTEN=0.0.0.0:PORT, lets others in"),
        ("0.0.0.0:1", "open to other machines at 0.0.0.0:1"),
    ],
)
def test_it_is_said_who_reaches_the_proxy(tmp_path: Path, listen: str, said: str) -> None:
    """And how to change that."""
    assert said in welcome("an app", listen, "127.0.0.1:2", tmp_path, "t0ken")
