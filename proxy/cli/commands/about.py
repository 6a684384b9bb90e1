"""`sidelog version` and `sidelog completion`."""

import platform
import sqlite3
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Final

import click
from click.shell_completion import get_completion_class

from proxy.cli.command import argument, command, json_option
from proxy.cli.commands.output import Result, say
from proxy.process.version import BUILD, VERSION

LIBRARIES: Final = (
    "aiohttp",
    "httptools",
    "uvloop",
    "msgspec",
    "orjson",
    "aiosqlite",
    "google-re2",
    "prometheus-client",
)
"""Libraries whose versions matter in a bug report."""


@command()
@json_option
def version() -> Result:
    """Print the version and build (pure or compiled) of sidelog, and the versions of Python and the
    main libraries.

    Example: sidelog version --json
    """
    versions = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for name in LIBRARIES:
        try:
            versions[name] = installed_version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"

    lines = [f"sidelog {VERSION} ({BUILD})"]
    lines += [f"  {name} {text}" for name, text in versions.items()]
    return Result({"version": VERSION, "build": BUILD, "libraries": versions}, "\n".join(lines))


@command()
@argument(
    "shell",
    "Which shell: bash, zsh or fish.",
    metavar="SHELL",
    type=click.Choice(("bash", "zsh", "fish")),
)
def completion(shell: str) -> int:
    """Print a completion script for a shell; load it with: eval "$(sidelog completion bash)".

    Example: sidelog completion bash
    """
    program = click.get_current_context().find_root().command
    kind = get_completion_class(shell)
    assert kind is not None
    say(kind(program, {}, "sidelog", "_SIDELOG_COMPLETE").source())
    return 0
