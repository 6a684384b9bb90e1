"""The command `sidelog doctor`."""

import os
from collections.abc import Mapping
from pathlib import Path

from proxy.cli.command import command, config_option, json_flag, settings_options


@command()
@config_option
@settings_options("proxy.upstream", "data_dir")
@json_flag
def doctor(overrides: Mapping[str, str], config: Path | None, as_json: bool) -> int:
    """Check this machine and the settings, and suggest a fix for each problem.

    Example: sidelog doctor --config sidelog.toml
    """
    # The checks import much; help and completion do without them.
    from proxy.cli.commands.client import of_running
    from proxy.cli.commands.doctor.doctor import run
    from proxy.settings.load import read

    found = of_running(overrides, config, os.environ)
    return run(*read(found, os.environ, config), as_json=as_json)
