"""Children that have ended are collected, but for those whose exit code is somebody's."""

import os

import psutil

from proxy.supervisor.host import reap
from tests.support.sidelog import eventually


def ended() -> int:
    """A child that has ended, and waits to be collected."""
    pid = os.fork()
    if not pid:
        os._exit(7)
    eventually(lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    return pid


def others() -> list[int]:
    """The children that are there."""
    return [child.pid for child in psutil.Process().children()]


def test_an_orphan_is_collected_and_an_own_child_is_not() -> None:
    """The exit code of the latter is still there for who started it."""
    own = ended()
    reap(others())
    assert os.waitstatus_to_exitcode(os.waitpid(own, 0)[1]) == 7
    kept = others()
    orphan = ended()
    reap(kept)
    assert not psutil.pid_exists(orphan)


def test_without_children_there_is_nothing_to_do() -> None:
    """A process that has none is told so by the kernel."""
    child = os.fork()
    if not child:
        reap(())
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
