"""Promises of every command: help with an example, no colour and no traceback in a pipe, exit
codes.

The commands are read from the program itself, so a new one is in these tests by
being declared.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.cli import app
from proxy.cli.program import SECTIONS
from tests.proxy.cli.conftest import Run
from tests.support.cases import each_of
from tests.support.commands import command_of, example_of, walk
from tests.support.programs import PROGRAM_S

ROOT = Path(__file__).parents[3]


COMMANDS = dict(walk())
NAMES = [" ".join(path) for path in COMMANDS]
JSON_NAMES = [
    " ".join(path)
    for path, command in COMMANDS.items()
    if path != ("tail",) and any(option.name == "as_json" for option in command.params)
]
ENDLESS = ("serve", "tail", "mock")
"""These run until they are told to stop, and have tests of their own."""
ARGUMENTS = {
    "get": "0192f3c4",
    "open": "0192f3c4",
    "compare": "0192f3c4 0192f3c5",
    "completion": "zsh",
    "export": "csv",
    "keys create": "x",
    "keys disable": "x",
    "keys enable": "x",
} | {
    "keys delete": "x",
    "save": "x",
    "replay": "x --against http://127.0.0.1:1",
    "db backup": "copy.db",
    "grpc reflect": "127.0.0.1:1",
    "alerts test": "failures",
    "alerts silence": "failures",
    "config check": "--upstream http://a",
    "redact try": str(ROOT / "LICENSE"),
    "run": "--again",
    "config show": "--upstream http://a",
}
WITHOUT_SIDELOG = {
    "config check": 0, "config show": 0, "redact list": 0, "redact try": 0, "version": 0, "completion": 0, "doctor": 0,
}  # fmt: skip
"""Exit codes of commands in a directory without a sidelog; the others need one and end with 1."""


@pytest.fixture
def free_ports(empty: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory; the usual ports may be taken here."""
    monkeypatch.setenv("SIDELOG_PROXY__LISTEN", "127.0.0.1:0")
    monkeypatch.setenv("SIDELOG_ADMIN__LISTEN", "127.0.0.1:0")
    return empty


def call_of(name: str) -> str:
    """A call of a command with its required arguments."""
    return f"{name} {ARGUMENTS.get(name, '')}"


def test_the_documented_commands_are_there() -> None:
    """All commands; a new one is added here and to the README."""
    assert sorted(NAMES) == sorted(
        (
            *(
                "serve", "run", "tail", "query", "get", "open", "compare", "top", "mcp",
                "grpc reflect", "conversations", "export", "save", "replay", "mock", "health", "doctor", "version",
                "completion",
            ),
            *("keys create", "keys list", "keys disable", "keys enable", "keys delete"),
            *("alerts list", "alerts test", "alerts silence"),
            *("view list", "config check", "config show", "redact list", "redact try", "token show", "token rotate"),
            *("ca env", "ca rotate"),
            *("db status", "db migrate", "db vacuum", "db backup"),
        )
    )  # fmt: skip


def test_commands_stand_in_sections(run: Run) -> None:
    """Each once, all in one column."""
    out = run("--help").out
    listed = [word for places in SECTIONS.values() for word in places]
    assert sorted(listed) == sorted({path[0] for path in COMMANDS})
    assert [line[:-1] for line in out.splitlines() if line.rstrip(":") in SECTIONS] == [*SECTIONS]
    starts = {re.match(rf"  {word} +", line).end() for line in out.splitlines() for word in listed  # type: ignore[union-attr]
              if re.match(rf"  {word}  ", line)}  # fmt: skip
    assert len(starts) == 1


def test_the_list_of_commands_says_what_their_help_says() -> None:
    """It is written apart, so that nothing is imported for it."""
    for places in SECTIONS.values():
        for word, place in places.items():
            help = " ".join((command_of(word).help or "").split())
            assert place.help.endswith(".")
            assert f"{help} ".startswith(f"{place.help} ")


def test_no_command_is_imported_for_the_list() -> None:
    """Nor for its completion."""
    code = (
        "import sys; from proxy.cli.app import main; code = main(['--help']);"
        "assert not [name for name in sys.modules if name.startswith('proxy.cli.commands.')];"
        "sys.exit(code)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    environ = {
        **os.environ,
        "COMP_WORDS": "sidelog v",
        "COMP_CWORD": "1",
        "_SIDELOG_COMPLETE": "bash_complete",
    }
    offered = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        env=environ,
    )
    assert offered.stdout.split() == ["plain,version", "plain,view"]


@each_of("name", NAMES)
def test_help_has_an_example_that_is_a_command(name: str, run: Run) -> None:
    """--help ends with 0, explains every option, and its example is one that this program would take."""
    command = COMMANDS[tuple(name.split())]
    out = run(f"{name} --help").out
    assert f"Usage: sidelog {name}" in out
    assert "\x1b" not in out
    assert re.findall(r"<(?:str|int|bool|list|path)\b.*?>", out) == [], "a type of Python's"
    example = example_of(command)
    inner = re.search(r"\$\((sidelog [^)]+)\)", example)  # `curl … $(sidelog token show)`
    words = shlex.split(inner[1] if inner else example)
    assert words[: len(name.split()) + 1] == ["sidelog", *name.split()]
    command.make_context(name, words[len(name.split()) + 1 :], resilient_parsing=False)
    undescribed = [option.name for option in command.params if not getattr(option, "help", None)]
    assert undescribed == []
    helps = {option.name: option.help or "" for option in command.params}
    assert {name: text for name, text in helps.items() if not text.endswith((".", "…"))} == {}
    assert {name: text for name, text in helps.items() if text[0].islower()} == {}


@each_of("name", NAMES)
def test_wrong_usage_ends_with_2(name: str, run: Run) -> None:
    """An option that does not exist is said on stderr, whichever the command."""
    captured = run(f"{name} --no-such-option", code=2)
    assert "--no-such-option" in captured.err
    assert captured.out == ""


@each_of("name", [name for name in NAMES if name not in ENDLESS])
def test_in_an_empty_directory_each_ends_as_documented(
    name: str, free_ports: Path, run: Run
) -> None:
    """0 or 1, one clear line on stderr, nothing coloured, and no file is left behind."""
    captured = run(call_of(name), code=WITHOUT_SIDELOG.get(name, 1))
    assert "\x1b" not in captured.out + captured.err

    if name not in WITHOUT_SIDELOG:
        assert captured.out == ""
        assert captured.err.startswith("sidelog: ")
        assert len(captured.err.splitlines()) == 1

    assert list(free_ports.iterdir()) == []


@pytest.mark.usefixtures("free_ports")
@each_of("name", JSON_NAMES)
def test_json_is_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json, all output is JSON, also if the command fails."""
    assert app.main(shlex.split(f"{call_of(name)} --json")) in (0, 1)
    out = capsys.readouterr().out
    assert out == "" or json.loads(out)


@pytest.mark.parametrize("name", ["config show", "doctor"])
def test_a_reader_that_leaves_is_no_error_message(name: str, free_ports: Path) -> None:
    """A closed pipe ends the command quietly."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as gone:
        done = subprocess.run(
            [sys.executable, "-m", "proxy", *shlex.split(call_of(name))],
            cwd=free_ports,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
            timeout=PROGRAM_S,
            stdout=gone,
            stderr=subprocess.PIPE,
        )

    assert (done.returncode, done.stderr) == (141, "")
