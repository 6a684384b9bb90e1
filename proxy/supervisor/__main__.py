"""The parent process: `python -m proxy.supervisor`. Standard library only."""

import sys

from proxy.supervisor.startup import Ground, run_root
from proxy.supervisor.supervisor import Supervisor


def supervise(ground: Ground) -> int:
    """Keep collector and workers running until told to stop; return the exit code."""
    return Supervisor(ground.settings, ground.settings_fd, ground.source_fd, ground.data, ground.listeners).run()


if __name__ == "__main__":
    sys.exit(run_root("proxy.supervisor", sys.argv[1:], supervise))
