"""`sidelog serve`: validates the settings, hands them to the supervisor through a descriptor, and
becomes the supervisor.

The supervisor imports the standard library only, so that it stays small and robust. Therefore this
process reads the configuration and then replaces itself. The sources of the settings are handed on
as well, for a reload.
"""

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click

from proxy.cli.command import command, config_option, settings_options
from proxy.cli.commands.config import examples
from proxy.cli.welcome import welcome
from proxy.process.data_dir import token_of
from proxy.process.memfd import hand_over
from proxy.process.own_packages import module_command, module_environment
from proxy.process.terminal import visible
from proxy.settings.flags import FLAGS
from proxy.settings.load import load
from proxy.settings.model import Settings, freeze
from proxy.supervisor.host import hold_back


@command()
@config_option
@click.option(
    "--greet",
    "greets",
    is_flag=True,
    help="Print addresses and commands to try, as on a terminal.",
)
@settings_options(*FLAGS)
def serve(overrides: Mapping[str, str], config: Path | None, greets: bool) -> NoReturn:
    """Run the proxy.

    Example: sidelog serve --upstream http://127.0.0.1:3000 --listen 127.0.0.1:8080
    """
    become(overrides, config, greets=greets)


def become(overrides: Mapping[str, str], config: Path | None, *, greets: bool) -> NoReturn:
    """Become the supervisor; raises SettingsError first if the settings are invalid.

    On a terminal, or with `greets`, a greeting shows all addresses; a service's log gets none.
    """
    settings = load(overrides, os.environ, config, examples)
    source: dict[str, object] = {
        "overrides": dict(overrides),
        "config": None if config is None else str(config.absolute()),
    }
    if greets or sys.stdout.isatty():
        upstreams = ", ".join(dict.fromkeys(route.upstream for route in settings.routes))
        source["greeting"] = _greeting(settings, upstreams or "nothing")
    source_fd = hand_over(json.dumps(source).encode(), "sidelog-source")
    sys.stdout.flush()
    sys.stderr.flush()
    settings_fd = hand_over(freeze(settings), "sidelog-settings")
    # Without a data port there is nothing to have in one process with the rest.
    is_single = settings.proxy.workers == 0 and settings.proxy.data_port
    if is_single:
        root = "proxy.single"
    else:
        root = "proxy.supervisor"
    command = module_command(root, "--source-fd", str(source_fd), "--settings-fd", str(settings_fd))
    hold_back()
    os.execve(command[0], command, module_environment())  # noqa: S606 — no shell is wanted, and the command is ours


def _greeting(settings: Settings, before: str) -> str:
    """Return the text that the supervisor shows once it listens; empty if the data directory is
    unusable.
    """
    directory = Path(settings.data_dir)
    with suppress(OSError):  # the supervisor reports errors of the directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = welcome(
            before, settings.proxy.listen, settings.admin.listen, directory, token_of(directory)
        )
        return visible(f"{text}\n")

    return ""
