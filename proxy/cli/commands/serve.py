"""`sidelog serve`: validate the settings, hand them to the supervisor through a descriptor, and
become it.

The supervisor imports the standard library only, so that it stays small and cannot break; therefore
this process reads the configuration and then replaces itself. How it was read is handed on too, for
a reload.
"""

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click

from proxy.cli.command import command
from proxy.cli.commands.config import examples
from proxy.cli.commands.output import CommandError
from proxy.cli.options import config_option, settings_options
from proxy.demo.welcome import welcome
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


def become(
    overrides: Mapping[str, str], config: Path | None, *, greets: bool, before: str = ""
) -> NoReturn:
    """Become the supervisor; raises SettingsError first when the settings are wrong.

    A person at a terminal, or who `greets`, is shown where everything is, and what is behind it
    (`before`); logs of a service get no such text.
    """
    settings = load(overrides, os.environ, config, examples)
    source: dict[str, object] = {
        "overrides": dict(overrides),
        "config": None if config is None else str(config.absolute()),
    }
    if greets or sys.stdout.isatty():
        upstreams = ", ".join(dict.fromkeys(route.upstream for route in settings.routes))
        source["greeting"] = _greeting(settings, before or upstreams or "nothing")
    source_fd = hand_over(json.dumps(source).encode(), "sidelog-source")
    sys.stdout.flush()
    sys.stderr.flush()
    settings_fd = hand_over(freeze(settings), "sidelog-settings")
    # Without a data port there is nothing to have in one process with the rest.
    is_single = settings.proxy.workers == 0 and settings.proxy.data_port
    root = "proxy.single" if is_single else "proxy.supervisor"
    command = module_command(root, "--source-fd", str(source_fd), "--settings-fd", str(settings_fd))
    hold_back()
    os.execve(command[0], command, module_environment())  # noqa: S606 — no shell is wanted, and the command is ours


@command()
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:8080",
    show_default=True,
    help="Address of the data port.",
)
@click.option(
    "--admin-listen",
    metavar="HOST:PORT",
    default="127.0.0.1:8090",
    show_default=True,
    help="Address of the admin port.",
)
@click.option(
    "--data-dir", metavar="DIR", help="Data directory. Default: SIDELOG_DATA_DIR, ./sidelog-demo."
)
def demo(listen: str, admin_listen: str, data_dir: str | None) -> NoReturn:
    """Run a demo upstream with sample traffic, and the proxy in front of it; its records are in
    ./sidelog-demo.

    Example: sidelog demo --listen 127.0.0.1:8888
    """
    # `serve` does without these imports.
    from proxy.demo.run import BEFORE, CannotStart, start

    try:
        overrides = start(listen, admin_listen, data_dir, os.environ)
    except CannotStart as error:
        raise CommandError(str(error)) from error
    become(overrides, None, greets=True, before=BEFORE)


def _greeting(settings: Settings, before: str) -> str:
    """Write what the supervisor shows once it listens; empty where the data directory cannot be
    used.
    """
    directory = Path(settings.data_dir)
    with suppress(OSError):  # what is wrong with it is said by the supervisor
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = welcome(
            before, settings.proxy.listen, settings.admin.listen, directory, token_of(directory)
        )
        return visible(f"{text}\n")

    return ""
