"""The source of `query`, `get`, `top` and `export`: a running sidelog, or the store if none runs.

A running sidelog is asked without importing the modules that open stores, a third of the time of a
short answer.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy.cli.commands.client import Client, connect, data_directory
from proxy.cli.commands.output import CommandError, complain
from proxy.process.data_dir import is_in_use


@contextmanager
def reading_client(
    url: str | None, token: str | None, data_dir: str | None, config: Path | None
) -> Iterator[Client]:
    """Yield a client for reading; everything it opened is closed at the end.

    Raises:
        CommandError: no sidelog is running, and there is no store to read.
        SettingsError: no sidelog is running, and the settings that would name the store are
            invalid.
    """
    directory = data_directory(data_dir)
    if url or os.environ.get("SIDELOG_URL") or is_in_use(directory):
        yield connect(url, token, data_dir)
        return

    from proxy.cli.commands.store import check_exists, served, settings_of

    settings = settings_of(config, str(directory), os.environ)
    try:
        check_exists(settings)
    except CommandError:
        # One whose data directory is elsewhere; or its error is better.
        yield connect(url, token, data_dir)
        return

    if sys.stderr.isatty():
        complain(f"no sidelog is running with {directory}: reading its store")
    with served(settings) as client:
        yield client
