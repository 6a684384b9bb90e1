"""The supervisor and the system: service manager, duties of an init process, signals. stdlib only.

As the first process of a container, the supervisor inherits orphaned children. No other process can
collect them when they end, and each would keep its entry in the process table: a probe by `exec`,
or a debugging shell, leaves some.

Only the supervisor handles SIGINT, SIGHUP and SIGUSR1, though Ctrl-C and `kill -HUP -<group>` send
them to the whole group. All other processes inherit a mask that blocks them from their first
instruction on: an interpreter that is starting would die of them. A root process blocks them, and
leaves them pending, until its handlers are installed.
"""

import os
import signal
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

TIMEOUT_S: Final = 0.2
"""Limit of the delay by a service manager that hangs. A working one reads within milliseconds."""


def notify(state: str) -> None:
    """Send READY, STOPPING or WATCHDOG to the manager in NOTIFY_SOCKET (sd_notify(3)), if there is
    one.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return

    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.settimeout(TIMEOUT_S)
            out.connect(address)
            out.sendall(state.encode())
    except OSError:
        pass  # sidelog serves even if the manager does not listen


def reap(own: Collection[int | None]) -> None:
    """Collect ended children (wait(2)), except `own`, whose exit codes are needed elsewhere."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid in own:
                return
            os.waitpid(ended.si_pid, os.WNOHANG)
        except ChildProcessError:
            return


GROUP_SIGNALS: Final = frozenset((signal.SIGINT, signal.SIGHUP, signal.SIGUSR1))


def hold_back() -> None:
    """Block the signals of the process group in this thread, and in every process that it starts or
    becomes.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)


def take() -> None:
    """Unblock the signals that `hold_back` blocks. Pending ones arrive at once."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP_SIGNALS)


@contextmanager
def held_back() -> Iterator[None]:
    """Block the signals of the process group in processes that are started within the context."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
