"""The parent process: `python -m proxy.supervisor`. Standard library only."""

import sys

from proxy.supervisor.startup import RootContext, run_root
from proxy.supervisor.supervisor import Supervisor


def supervise(context: RootContext) -> int:
    """Keep collector and workers running until a stop signal; return the exit code."""
    return Supervisor(context).run()


if __name__ == "__main__":
    sys.exit(run_root("proxy.supervisor", sys.argv[1:], supervise))
