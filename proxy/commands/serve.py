"""`sidelog serve`: validate the settings, hand them to the supervisor through a descriptor, and become it.

The supervisor imports the standard library only, so that it stays small and cannot break; therefore this process
reads the configuration and then replaces itself. The settings hold secrets: they travel in an anonymous memory file,
or where the system has none in a file that is unlinked before anything is written to it.
"""

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from proxy.settings import Settings, freeze, load


def run(overrides: Mapping[str, str], config: Path | None) -> NoReturn:
    """Become the supervisor; raises SettingsError first when the settings are wrong."""
    settings = load(overrides, os.environ, config)
    descriptor = settings_descriptor(settings)
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, "-m", "proxy.supervisor", "--settings-fd", str(descriptor)]
    os.execv(sys.executable, command)  # noqa: S606 — no shell is wanted, and both arguments are ours


def settings_descriptor(settings: Settings) -> int:
    """Write frozen settings into an inheritable descriptor, positioned at its start; the caller owns it."""
    descriptor = _anonymous_file()
    document = memoryview(freeze(settings))
    while document:
        document = document[os.write(descriptor, document) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.set_inheritable(descriptor, True)
    return descriptor


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("sidelog-settings")
    descriptor, path = tempfile.mkstemp(prefix="sidelog-")  # macOS; mode 0600
    os.unlink(path)
    return descriptor
