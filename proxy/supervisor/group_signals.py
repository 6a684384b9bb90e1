"""SIGINT, SIGHUP and SIGUSR1 are the supervisor's, though Ctrl-C and `kill -HUP -<group>` send them to everybody.

They are blocked in every other process from before its first instruction, because the mask is inherited: an interpreter
that is starting would die of them. In a root process they are blocked until its handlers are there, and wait so long.
Standard library only.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

GROUP_SIGNALS: Final = frozenset((signal.SIGINT, signal.SIGHUP, signal.SIGUSR1))


def hold_back() -> None:
    """Block them in this thread, and in every process that it starts or becomes."""
    signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)


def take() -> None:
    """Let them in again, those that came meanwhile first."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP_SIGNALS)


@contextmanager
def held_back() -> Iterator[None]:
    """Block them in the processes that are started meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
