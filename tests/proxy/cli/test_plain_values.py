"""Values of the command line: the same as typer's validators make of them, without these where nothing can be wrong."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer import Argument, Option

from proxy.cli.plain_values import take_plain_values
from tests.support.sidelog import ROOT

SEEN: list[tuple[Any, ...]] = []
app = typer.Typer(add_completion=False)


@app.command()
def one(
    names: Annotated[list[str] | None, Argument()] = None,
    text: Annotated[str | None, Option("--text", envvar="PLAIN_TEXT")] = None,
    many: Annotated[list[str] | None, Option("--many")] = None,
    number: Annotated[int, Option("--number")] = 5,
    least: Annotated[int, Option("--least", min=1)] = 7,
    most: Annotated[int, Option("--most", min=1, max=1000)] = 9,
    path: Annotated[Path | None, Option("--path")] = None,
    is_on: Annotated[bool, Option("--on")] = False,
) -> None:
    """Remember what it got."""
    SEEN.append((names, text, many, number, least, most, path, is_on))


def got(arguments: list[str], *, is_plain: bool) -> Any:
    """What the command got, or how it ended."""
    SEEN.clear()
    command = typer.main.get_command(app)
    if is_plain:
        take_plain_values(command)
    try:
        command(args=arguments, prog_name="one", standalone_mode=False)
    except Exception as error:
        return type(error), str(error)
    return SEEN[0]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a", "b"],
        ["--text", "ä b"],
        ["--text", ""],
        ["--text", "\udcff"],
        ["--many", "a"],
        ["--many", "a", "--many", "", "--on"],
        ["--many", "a", "--many", "\udcff"],
        ["\udcff"],
        ["--number", "12"],
        ["--least", "3"],
        ["--most", "1000"],
        ["--path", "a/b"],
        ["--path", ""],
        ["--unknown"],
        ["--text"],
    ],
)
def test_values_are_those_of_typer(arguments: list[str]) -> None:
    """Types, values and messages."""
    assert got(arguments, is_plain=True) == got(arguments, is_plain=False)


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--number", "twelve", "expected a whole number, got 'twelve'"),
        ("--number", "", "expected a whole number, got ''"),
        ("--number", "1.5", "expected a whole number, got '1.5'"),
        ("--number", "9" * 30, f"expected a whole number, got '{'9' * 30}'"),
        ("--least", "0", "expected a whole number, at least 1, got '0'"),
        ("--most", "1001", "expected a whole number from 1 to 1000, got '1001'"),
    ],
)
def test_a_wrong_number_is_named_with_its_limit(option: str, value: str, expected: str) -> None:
    """Not with what a validator calls it."""
    assert got([option, value], is_plain=True) == (typer.BadParameter, expected)


def test_values_of_the_environment_are_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option may be given there."""
    monkeypatch.setenv("PLAIN_TEXT", "from there")
    plain = got([], is_plain=True)
    assert plain == got([], is_plain=False)
    assert plain[1] == "from there"


def test_a_usual_command_does_not_load_the_validators() -> None:
    """Texts, lists of them and defaults need none."""
    code = (
        "import sys; from proxy.cli.app import main;"
        "main(['query', '--json', '--path', 'a', '--status', '5xx', '--status', '404', '--data-dir', 'nowhere']);"
        "print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "False", done.stdout
    assert "nowhere" in done.stderr
