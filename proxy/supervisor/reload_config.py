"""Read the configuration once more for a running supervisor: `python -m
proxy.supervisor.reload_config`.

A separate process, so that the supervisor stays small and no configuration can stop it. It reads
the sources that `serve` read, in the same order: file, environment and flags of the start. Settings
that need a restart keep their running values. An error becomes one line in the log.
"""

import argparse
import json
import logging
import os
import sys
from pathlib import Path

from proxy.process.logs import detach_from_stderr, set_up_log
from proxy.process.memfd import read_document, write_document
from proxy.settings.load import load_again
from proxy.settings.model import SettingsError, freeze

log = logging.getLogger("proxy.supervisor.reload_config")


def main(argv: list[str]) -> int:
    """Write the frozen settings to the given descriptor; return 2 if they are not valid."""
    parser = argparse.ArgumentParser(
        prog="proxy.supervisor.reload_config", description="started by the supervisor"
    )
    for name in ("--source-fd", "--running-fd", "--settings-fd"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--log-level", required=True)
    options = parser.parse_args(argv)
    detach_from_stderr()
    set_up_log(options.log_level, role="reload")
    source, running = (
        json.loads(read_document(fd)) for fd in (options.source_fd, options.running_fd)
    )

    if source["config"]:
        config = Path(source["config"])
    else:
        config = None
    try:
        settings, kept = load_again(source["overrides"], os.environ, config, running)
    except SettingsError as error:
        log.error(
            "invalid configuration, keeping the current settings: %s", "; ".join(error.problems)
        )
        return 2

    if kept:
        log.warning("these settings change only with a restart: %s", ", ".join(kept))
    write_document(options.settings_fd, freeze(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
