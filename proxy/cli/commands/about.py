"""What the program says of itself: `sidelog version` and `sidelog completion`."""

import platform
import sqlite3
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Final

from proxy.cli.commands.output import say, say_json
from proxy.cli.completion import SCRIPTS
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
"""Whose versions matter in a bug report."""


def completion(shell: str) -> int:
    """Print what a shell evaluates to complete."""
    say(SCRIPTS[shell])
    return 0


def version(*, as_json: bool) -> int:
    """Print versions."""
    versions = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for name in LIBRARIES:
        try:
            versions[name] = installed_version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"

    if as_json:
        say_json({"version": VERSION, "build": BUILD, "libraries": versions})
    else:
        say(f"sidelog {VERSION} ({BUILD})")
        for name, text in versions.items():
            say(f"  {name} {text}")

    return 0
