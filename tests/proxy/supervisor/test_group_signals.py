"""No child dies of a signal that is the supervisor's, and none of those is lost."""

import signal
import subprocess
import sys

from proxy.supervisor.host import GROUP_SIGNALS, held_back
from tests.support.programs import PROGRAM_S


def test_a_process_that_is_just_starting_survives() -> None:
    """The signal comes before its first instruction."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with held_back():
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) >= GROUP_SIGNALS
        child = subprocess.Popen([sys.executable, "-c", "print('alive')"], stdout=subprocess.PIPE)
    for number in GROUP_SIGNALS:
        child.send_signal(number)
    assert child.communicate(timeout=PROGRAM_S)[0] == b"alive\n"
    assert child.returncode == 0
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


EARLY = """
import os, signal
from proxy.supervisor.host import hold_back, take
hold_back()
signal.signal(signal.SIGHUP, lambda number, _: print("heard", flush=True))
os.kill(os.getpid(), signal.SIGHUP)
print("not yet", flush=True)
take()
"""


def test_what_came_too_early_is_delivered_later() -> None:
    """A root process hears of it as soon as it can do something about it."""
    done = subprocess.run(
        [sys.executable, "-c", EARLY], capture_output=True, text=True, timeout=PROGRAM_S, check=True
    )
    assert done.stdout == "not yet\nheard\n"
