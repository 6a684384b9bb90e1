"""Tie a program's life to that of the process that started it: `python -m proxy.demo.tether PID COMMAND...`.

A demo that is killed with SIGKILL cannot stop its children. On Linux the kernel does (prctl(2), PR_SET_PDEATHSIG): it
sends SIGTERM to the child when its parent ends. The setting survives exec, so this module sets it and becomes COMMAND.
Elsewhere COMMAND runs untied.
"""

import ctypes
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1


def tie(parent: int) -> None:
    """Ask for SIGTERM when the parent ends; ends this process at once when it already has."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        # The parent may have ended before the call; then its death is announced to nobody.
        if os.getppid() != parent:
            raise SystemExit(1)


def tethered(*command: str) -> list[str]:
    """Return a command that runs `command` tied to this process."""
    return [sys.executable, "-m", "proxy.demo.tether", str(os.getpid()), *command]


def main() -> None:
    """Tie, then become the command."""
    parent, program, *arguments = sys.argv[1:]
    tie(int(parent))
    os.execvp(program, [program, *arguments])  # noqa: S606 — the command comes from `tethered`


if __name__ == "__main__":
    main()
