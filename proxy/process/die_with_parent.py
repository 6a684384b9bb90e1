"""Run a program that ends with its parent: `python -m proxy.process.die_with_parent PID
COMMAND...`.

A program that is killed with SIGKILL cannot stop its children. On Linux the kernel does (prctl(2),
PR_SET_PDEATHSIG): it sends SIGTERM to the child when its parent ends. The setting survives exec, so
this module sets it and becomes COMMAND. On other systems COMMAND continues to run.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final

from proxy.process.own_packages import module_command

PR_SET_PDEATHSIG: Final = 1


def die_with_parent(parent: int) -> None:
    """Request SIGTERM for the end of the parent.

    If the parent has already ended, end this process.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        # A parent that ended before the call sends no signal.
        if os.getppid() != parent:
            raise SystemExit(1)


def bound_to_this_process(command: Sequence[str]) -> list[str]:
    """Return a command that runs `command` and ends when this process does."""
    return module_command("proxy.process.die_with_parent", str(os.getpid()), *command)


def main() -> None:
    parent, program, *arguments = sys.argv[1:]
    die_with_parent(int(parent))
    os.execvp(program, [program, *arguments])  # noqa: S606 — the command comes from `bound_to_this_process`


if __name__ == "__main__":
    main()
